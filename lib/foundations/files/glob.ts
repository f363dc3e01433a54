/**
 * Globs over paths, segment by segment.
 *
 * File names come from jobs. With regular expressions, a name of 255 well-chosen letters could keep
 * the agent busy forever; here matching a name costs at most its length times the pattern's.
 *
 * `*` and `?` match within a segment, `[a-z]` and `[!a-z]` one character, `{a,b}` alternatives,
 * `**` any number of directories; a backslash escapes. Only a pattern that names the dot matches
 * names that begin with one.
 *
 * @module
 */

/** Most alternatives that the braces of one pattern may produce. */
const MAX_ALTERNATIVES = 64;

/** Describes what is wrong with a pattern; `undefined` if it is valid. */
export function globProblem(pattern: string): string | undefined {
  const text = positivePart(pattern);
  if (text === "") return "is empty; name a file, a directory or a glob";
  if (text.startsWith("/")) return "is absolute; write it relative to the workspace";
  if (/\p{Cc}/u.test(text)) return "contains a control character";
  const alternatives = expandBraces(text);
  if (alternatives === undefined) {
    return `has braces that produce more than ${MAX_ALTERNATIVES} alternatives; split it`;
  }
  for (const alternative of alternatives) {
    if (alternative.startsWith("/")) return "is absolute; write it relative to the workspace";
    if (alternative.split("/").includes("..")) return 'contains ".."; stay in the workspace';
  }
  return undefined;
}

/** The match of a path; made by {@linkcode GlobSet.root} and `enter`. */
export interface GlobState {
  /** Numbers of the patterns that match the path, or a directory above it. */
  readonly takenBy: ReadonlySet<number>;
  /** A pattern with `!` matches the path, or a directory above it. */
  readonly isExcluded: boolean;
  /** Anything below may match. */
  readonly mayGoOn: boolean;
  /** @internal */
  readonly progress: readonly Progress[];
}

/** Compiled globs. A match of a directory includes everything below it. */
export interface GlobSet {
  /** The patterns without `!`, by number. */
  readonly patterns: readonly string[];
  /** The state of the top directory. */
  readonly root: GlobState;
  /** Returns the state of an entry of a directory. */
  enter(state: GlobState, name: string): GlobState;
}

/**
 * Compiles patterns; one that begins with `!` excludes from all others.
 *
 * @throws {SyntaxError} If a pattern is invalid; check it with {@linkcode globProblem}.
 */
export function compileGlobs(patterns: readonly string[]): GlobSet {
  const taking = patterns.filter((pattern) => !pattern.startsWith("!"));
  const excluding = patterns.filter((pattern) => pattern.startsWith("!"));
  const automata = [
    ...taking.flatMap((pattern, number) => compile(pattern, number)),
    ...excluding.flatMap((pattern) => compile(pattern, undefined)),
  ];
  const state = (
    takenBy: ReadonlySet<number>,
    isExcluded: boolean,
    progress: Progress[],
  ): GlobState => ({
    takenBy,
    isExcluded,
    mayGoOn: !isExcluded &&
      (takenBy.size > 0 || progress.some(({ automaton }) => automaton.number !== undefined)),
    progress,
  });
  return {
    patterns: taking,
    root: state(
      new Set(),
      false,
      automata.map((automaton) => ({ automaton, at: closure(automaton, [0]) })),
    ),
    enter(before, name) {
      const characters = [...name];
      const next: Progress[] = [];
      let takenBy = before.takenBy;
      let isExcluded = before.isExcluded;
      for (const { automaton, at } of before.progress) {
        const reached = advance(automaton, at, characters);
        if (reached.includes(automaton.steps.length)) {
          if (automaton.number === undefined) isExcluded = true;
          else takenBy = new Set([...takenBy, automaton.number]);
        }
        const open = reached.filter((index) => index < automaton.steps.length);
        if (open.length > 0) next.push({ automaton, at: open });
      }
      return state(takenBy, isExcluded, next);
    },
  };
}

/** One segment of a pattern. */
type Step = { readonly kind: "directories" } | { readonly kind: "name"; readonly tokens: Token[] };

type Token =
  | { readonly kind: "star" }
  | { readonly kind: "any" }
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "set"; readonly negated: boolean; readonly ranges: [string, string][] };

interface Automaton {
  /** Of its pattern; absent: a pattern with `!`, which also matches names that begin with a dot. */
  readonly number: number | undefined;
  readonly steps: readonly Step[];
}

interface Progress {
  readonly automaton: Automaton;
  /** Indices of the possible next steps. */
  readonly at: readonly number[];
}

function compile(pattern: string, number: number | undefined): Automaton[] {
  const problem = globProblem(pattern);
  if (problem !== undefined) {
    throw new SyntaxError(`The glob ${JSON.stringify(pattern)} ${problem}`);
  }
  return (expandBraces(positivePart(pattern)) ?? []).map((alternative) => {
    const parts = alternative.split("/").filter((part) => part !== "" && part !== ".");
    // `a/**` is `a`; at the top, `**` is everything without a dot.
    while (parts.length > 1 && parts.at(-1) === "**") parts.pop();
    if (parts.at(-1) === "**" || parts.length === 0) parts.push("*");
    return {
      number,
      steps: parts.map((part): Step =>
        part === "**" ? { kind: "directories" } : { kind: "name", tokens: tokensOf(part) }
      ),
    };
  });
}

function positivePart(pattern: string): string {
  return pattern.startsWith("!") ? pattern.slice(1) : pattern;
}

/** Adds the steps reached without a name, as `**` matches no directory too. */
function closure({ steps }: Automaton, at: readonly number[]): readonly number[] {
  const reached = new Set(at);
  for (const index of reached) if (steps[index]?.kind === "directories") reached.add(index + 1);
  return [...reached];
}

function advance(
  automaton: Automaton,
  at: readonly number[],
  name: readonly string[],
): readonly number[] {
  const isHidden = name[0] === "." && automaton.number !== undefined;
  const next: number[] = [];
  for (const index of at) {
    const step = automaton.steps[index];
    if (step === undefined) continue;
    if (step.kind === "directories") {
      if (!isHidden) next.push(index);
    } else if (matchesName(step.tokens, name, isHidden)) next.push(index + 1);
  }
  return closure(automaton, next);
}

/** Matches greedily: on a mismatch only the latest star takes one more character. */
function matchesName(tokens: readonly Token[], name: readonly string[], isHidden: boolean) {
  if (isHidden) {
    const [first] = tokens;
    if (first?.kind !== "character" || first.character !== ".") return false;
  }
  let token = 0;
  let at = 0;
  let star: { readonly token: number; at: number } | undefined;
  while (at < name.length) {
    const next = tokens[token];
    if (next?.kind === "star") {
      star = { token, at };
      token++;
    } else if (next !== undefined && matchesOne(next, name[at] ?? "")) {
      token++;
      at++;
    } else if (star !== undefined) {
      token = star.token + 1;
      at = ++star.at;
    } else return false;
  }
  while (tokens[token]?.kind === "star") token++;
  return token === tokens.length;
}

function matchesOne(token: Exclude<Token, { kind: "star" }>, character: string): boolean {
  switch (token.kind) {
    case "any":
      return true;
    case "character":
      return token.character === character;
    case "set":
      return token.ranges.some(([low, high]) => low <= character && character <= high) !==
        token.negated;
  }
}

function tokensOf(segment: string): Token[] {
  const characters = [...segment];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? "";
    if (character === "*") {
      if (tokens.at(-1)?.kind !== "star") tokens.push({ kind: "star" });
    } else if (character === "?") tokens.push({ kind: "any" });
    else if (character === "\\" && at + 1 < characters.length) {
      tokens.push({ kind: "character", character: characters[++at] ?? "" });
    } else if (character === "[") {
      const set = setAt(characters, at);
      if (set === undefined) tokens.push({ kind: "character", character });
      else {
        tokens.push(set.token);
        at = set.end;
      }
    } else tokens.push({ kind: "character", character });
  }
  return tokens;
}

/** Parses `[…]`; `undefined` if it is not closed, so that the bracket is literal. */
function setAt(characters: readonly string[], begin: number) {
  let at = begin + 1;
  const negated = characters[at] === "!" || characters[at] === "^";
  if (negated) at++;
  const ranges: [string, string][] = [];
  for (let first = true;; first = false) {
    let low = characters[at++];
    if (low === undefined) return undefined;
    if (low === "]" && !first) break;
    if (low === "\\") low = characters[at++] ?? "\\";
    const high = characters[at + 1];
    if (characters[at] === "-" && high !== undefined && high !== "]") {
      ranges.push([low, high]);
      at += 2;
    } else ranges.push([low, low]);
  }
  return { token: { kind: "set", negated, ranges } satisfies Token, end: at - 1 };
}

/** Lists the alternatives of a pattern; `undefined` if there are too many. */
function expandBraces(pattern: string): readonly string[] | undefined {
  const done: string[] = [];
  const open = [pattern];
  for (let text = open.pop(); text !== undefined; text = open.pop()) {
    const braces = innermostBraces(text);
    if (braces === undefined) done.push(text);
    else open.push(...braces);
    if (done.length + open.length > MAX_ALTERNATIVES) return undefined;
  }
  return done.reverse();
}

/** Replaces the first innermost pair of braces by each of its alternatives. */
function innermostBraces(text: string): readonly string[] | undefined {
  let begin = -1;
  let commas: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "\\") at++;
    else if (character === "{") {
      begin = at;
      commas = [];
    } else if (character === "," && begin >= 0) commas.push(at);
    else if (character === "}" && begin >= 0) {
      if (commas.length === 0) {
        begin = -1;
        continue;
      }
      const before = text.slice(0, begin);
      const after = text.slice(at + 1);
      const marks = [begin, ...commas, at];
      return marks.slice(1).map((mark, index) =>
        before + text.slice((marks[index] ?? 0) + 1, mark) + after
      );
    }
  }
  return undefined;
}
