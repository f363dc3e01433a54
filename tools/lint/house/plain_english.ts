import ts from "typescript";

/** A word or opening to replace. */
export interface Wording {
  /** Counts from 1. */
  readonly line: number;
  readonly text: string;
  readonly advice: string;
}

/** A word of text or code, and its replacement. */
type Rule = readonly [pattern: RegExp, advice: string];

/** Openings of doc comments to avoid: the first line says what a thing is or does. */
const OPENING = /\/\*\*\s*(?:\*\s*)?(What|Whether|Who)\s/g;

/** Rejected everywhere: in prose, identifiers and file names. */
const WORDS: readonly Rule[] = [
  [/folders?/gi, "say directory"],
  [/\bmend(?:s|ed|ing)?\b/gi, "say fix"],
  [/\bfor want of\b/gi, "say which limit or thing was missing"],
  [/\bis no known\b/gi, "say unknown"],
  [/\bknows? of\b/gi, "say restricts, lists or has"],
  [/(?<!house)keepers?\b/gi, "say monitor"],
];

/** Rejected in identifiers and file names; fine in prose. */
const NAMES: readonly Rule[] = [
  [/wish/i, "say query"],
  [/judge/i, "say check"],
  [/left_?behind/i, "say orphans"],
];

/** Finds words to replace; in TypeScript, identifiers are checked as well. */
export function findWording(path: string, text: string): readonly Wording[] {
  const found: { readonly at: number; readonly text: string; readonly advice: string }[] = [];
  for (const [pattern, advice] of WORDS) {
    for (const match of text.matchAll(pattern)) {
      found.push({ at: match.index, text: match[0], advice });
    }
  }
  if (path.endsWith(".ts")) {
    for (const match of text.matchAll(OPENING)) {
      const advice = "begin with what it is or does: Returns …, A queue of …";
      found.push({ at: match.index, text: `/** ${match[1]} …`, advice });
    }
    for (const { at, name } of identifiersOf(path, text)) {
      for (const [pattern, advice] of NAMES) {
        if (pattern.test(name)) found.push({ at, text: name, advice });
      }
    }
  }
  const file = path.slice(path.lastIndexOf("/") + 1);
  for (const [pattern, advice] of [...WORDS, ...NAMES]) {
    if (file.search(pattern) >= 0) found.push({ at: 0, text: file, advice });
  }
  return found
    .sort((a, b) => a.at - b.at)
    .map(({ at, text: word, advice }) => ({ line: lineAt(text, at), text: word, advice }));
}

/** Returns every identifier of a TypeScript file, without those of comments and strings. */
function identifiersOf(path: string, text: string): readonly { at: number; name: string }[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext);
  const found: { at: number; name: string }[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) {
      found.push({ at: node.getStart(source), name: node.text });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < index; at = text.indexOf("\n", at + 1)) line++;
  return line;
}
