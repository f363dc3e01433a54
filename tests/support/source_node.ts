/**
 * Source trees without a file.
 *
 * @module
 */
import type { SourceNode } from "@lib/foundations/config/yaml_source.ts";

/** Makes a tree of a plain value; each node stands on a line of its own. */
export function sourceOf(value: unknown): SourceNode {
  let line = 0;
  const convert = (each: unknown): SourceNode => {
    const at = { line: ++line, column: 1 };
    if (Array.isArray(each)) return { kind: "list", at, items: each.map(convert) };
    if (typeof each === "object" && each !== null) {
      const entries = Object.entries(each).map(([name, child]) => {
        return { name, at: { line: ++line, column: 1 }, node: convert(child) };
      });
      return { kind: "map", at, entries };
    }
    if (typeof each === "string" || typeof each === "number" || typeof each === "boolean") {
      return { kind: "scalar", at, value: each, text: String(each) };
    }
    return { kind: "scalar", at, value: null, text: "" };
  };
  return convert(value);
}
