/**
 * Reads YAML 1.2 into a {@linkcode SourceNode}.
 *
 * Refuses duplicate keys, tags other than the core ones, several documents, and
 * trees of more than {@linkcode YAML_MAX_NODES}, aliases included.
 *
 * @module
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { type FieldIssue, messageOf } from "@lib/core/errors.ts";

/** A position in a text; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One entry of a map. */
interface SourceEntry {
  readonly name: string;
  /** Position of the name. */
  readonly at: Position;
  readonly node: SourceNode;
}

/** A value and its position. */
export type SourceNode =
  | {
    readonly kind: "scalar";
    readonly value: string | number | boolean | null;
    /** As written, without quotes: `1.10` is not 1.1. */
    readonly text: string;
    readonly at: Position;
  }
  | { readonly kind: "map"; readonly entries: readonly SourceEntry[]; readonly at: Position }
  | { readonly kind: "list"; readonly items: readonly SourceNode[]; readonly at: Position };

/** Most nodes of a file; each use of an alias counts again. */
const YAML_MAX_NODES = 20_000;

/** Most uses of aliases: each one costs a walk through the document. */
const MAX_ALIASES = 200;

/** Deepest nesting; the configuration itself needs five. */
const MAX_DEPTH = 16;

/** A tree, `undefined` for an empty file, and its problems. */
export interface YamlSource {
  readonly root: SourceNode | undefined;
  readonly issues: readonly FieldIssue[];
}

/** Reads `text`; `file` names it in the issues. */
export function readYamlSource(text: string, file: string): YamlSource {
  const lines = new LineCounter();
  const issueAt = (offset: number, message: string): FieldIssue => {
    const { line, col } = lines.linePos(offset);
    return { path: `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`, message };
  };
  let document;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      merge: false,
      prettyErrors: false,
      schema: "core",
      strict: true,
      uniqueKeys: true,
    });
  } catch (error) {
    return { root: undefined, issues: [issueAt(0, `is not readable YAML: ${messageOf(error)}`)] };
  }
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) {
    return {
      root: undefined,
      issues: problems.slice(0, 20).map(({ pos, message }) => issueAt(pos[0], `YAML: ${message}`)),
    };
  }

  const issues: FieldIssue[] = [];
  let nodes = 0;
  let aliases = 0;

  const positionOf = (node: unknown, fallback: Position): Position => {
    const offset = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node)
      ? node.range?.[0]
      : undefined;
    if (offset === undefined) return fallback;
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const refuse = (at: Position, message: string): undefined => {
    issues.push({ path: `${file}:${at.line}:${at.column}`, message });
    return undefined;
  };

  const convert = (node: unknown, at: Position, depth: number): SourceNode | undefined => {
    if (issues.length > 0) return undefined;
    if (++nodes > YAML_MAX_NODES) {
      return refuse(at, `YAML: more than ${YAML_MAX_NODES} values, aliases included`);
    }
    if (depth > MAX_DEPTH) return refuse(at, `YAML: nested deeper than ${MAX_DEPTH} levels`);
    if (isAlias(node)) {
      if (++aliases > MAX_ALIASES) return refuse(at, `YAML: more than ${MAX_ALIASES} aliases`);
      const target = node.resolve(document);
      return target === undefined
        ? refuse(at, `YAML: the alias *${node.source} has no anchor above it`)
        : convert(target, at, depth + 1);
    }
    if (isMap(node)) return convertMap(node.items, at, depth);
    if (isSeq(node)) {
      const items = node.items.map((item) => convert(item, positionOf(item, at), depth + 1));
      return { kind: "list", items: items.filter((item) => item !== undefined), at };
    }
    return scalar(node, at);
  };

  const convertMap = (
    pairs: readonly { key: unknown; value: unknown }[],
    at: Position,
    depth: number,
  ): SourceNode => {
    const entries: SourceEntry[] = [];
    const seen = new Set<string>();
    for (const { key, value } of pairs) {
      const keyAt = positionOf(key, at);
      const name = scalar(key, keyAt);
      if (name?.kind !== "scalar" || (isScalar(key) && key.anchor !== undefined)) {
        refuse(keyAt, "YAML: a key must be a plain text");
        continue;
      }
      if (seen.has(name.text)) refuse(keyAt, "YAML: Map keys must be unique");
      seen.add(name.text);
      const child = convert(value, positionOf(value, keyAt), depth + 1);
      if (child !== undefined) entries.push({ name: name.text, at: keyAt, node: child });
    }
    return { kind: "map", entries, at };
  };

  const scalar = (node: unknown, at: Position): SourceNode | undefined => {
    if (node === null || node === undefined) return { kind: "scalar", value: null, text: "", at };
    if (!isScalar(node)) return refuse(at, "YAML: this kind of value is not supported");
    const { value } = node;
    switch (typeof value) {
      case "string":
        return { kind: "scalar", value, text: value, at };
      case "number":
      case "boolean":
        return { kind: "scalar", value, text: node.source ?? String(value), at };
      default:
        return value === null
          ? { kind: "scalar", value, text: node.source ?? "", at }
          : refuse(at, "YAML: this kind of value is not supported");
    }
  };

  const { contents } = document;
  const root = contents === null
    ? undefined
    : convert(contents, positionOf(contents, { line: 1, column: 1 }), 0);
  return { root: issues.length > 0 ? undefined : root, issues };
}
