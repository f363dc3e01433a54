/**
 * Where a text stops being JSON.
 *
 * The engine's own message tells the place of some errors only, and quotes the
 * text, which may hold secrets.
 *
 * @module
 */
import { assertNever } from "@lib/core/assert_never.ts";

/** A token other than a string, by the end of its match; the groups tell its kind. */
const TOKEN =
  /([[{])|([\]}])|(,)|(:)|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/y;
const SPACE = /[ \t\n\r]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** What may stand at a place of the text. */
type Wanted = "value" | "value or ]" | "key" | "key or }" | ":" | ", or end";

/**
 * The line and column, from 1, at which `text` stops being JSON; of a text that ends too early,
 * those of its end.
 *
 * @returns `undefined` if it is JSON.
 */
export function findJsonError(text: string): { line: number; column: number } | undefined {
  const open: string[] = [];
  let wanted: Wanted = "value";
  let at = 0;
  while (true) {
    at = endOf(SPACE, text, at) ?? at;
    if (at === text.length && open.length === 0 && wanted === ", or end") return undefined;
    const token = text[at] === '"' ? readString(text, at) : readToken(text, at);
    const next: Wanted | undefined = token === undefined ? undefined : after(wanted, token, open);
    if (token === undefined || next === undefined) return placeOf(text, at);
    wanted = next;
    at = token.end;
  }
}

interface Token {
  readonly kind: "opening" | "closing" | "comma" | "colon" | "string" | "other";
  readonly text: string;
  /** Offset after it. */
  readonly end: number;
}

function readToken(text: string, at: number): Token | undefined {
  TOKEN.lastIndex = at;
  const match = TOKEN.exec(text);
  if (match === null) return undefined;
  const [whole, opening, closing, comma, colon] = match;
  const kind = opening !== undefined
    ? "opening"
    : closing !== undefined
    ? "closing"
    : comma !== undefined
    ? "comma"
    : colon !== undefined
    ? "colon"
    : "other";
  return { kind, text: whole, end: at + whole.length };
}

function readString(text: string, from: number): Token | undefined {
  let at = from + 1;
  while (at < text.length) {
    const char = text[at] ?? "";
    if (char === '"') return { kind: "string", text: "", end: at + 1 };
    if (char < " ") return undefined;
    const next = char === "\\" ? endOf(ESCAPE, text, at) : at + 1;
    if (next === undefined) return undefined;
    at = next;
  }
  return undefined;
}

function endOf(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

/** What may follow a token; `undefined` if it may not stand here. */
function after(wanted: Wanted, { kind, text }: Token, open: string[]): Wanted | undefined {
  switch (kind) {
    case "closing": {
      const empty = text === "}" ? "key or }" : "value or ]";
      const fits = open.pop() === (text === "}" ? "{" : "[");
      return fits && (wanted === ", or end" || wanted === empty) ? ", or end" : undefined;
    }
    case "comma": {
      const inside = open.at(-1);
      if (wanted !== ", or end" || inside === undefined) return undefined;
      return inside === "{" ? "key" : "value";
    }
    case "colon":
      return wanted === ":" ? "value" : undefined;
    case "opening":
    case "string":
    case "other": {
      if (wanted === "key" || wanted === "key or }") return kind === "string" ? ":" : undefined;
      if (wanted !== "value" && wanted !== "value or ]") return undefined;
      if (kind !== "opening") return ", or end";
      open.push(text);
      return text === "{" ? "key or }" : "value or ]";
    }
    default:
      return assertNever(kind);
  }
}

function placeOf(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
