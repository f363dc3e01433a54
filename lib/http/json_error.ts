/**
 * Where a text stops being JSON.
 *
 * The engine's own message tells the place of some errors only, and quotes the
 * text, which may hold secrets.
 *
 * @module
 */

/** A token, by the end of its match; the groups tell its kind. */
const TOKEN =
  /[ \t\n\r]*(?:([[{])|([\]}])|(,)|(:)|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

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
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) {
      const rest = at + (/^[ \t\n\r]*/.exec(text.slice(at))?.[0].length ?? 0);
      if (rest === text.length && open.length === 0 && wanted === ", or end") return undefined;
      return placeOf(text, rest);
    }
    const [whole, opening, closing, comma, colon, string] = match;
    const next = after(wanted, { opening, closing, comma, colon, string }, open);
    if (next === undefined) return placeOf(text, at + whole.length - whole.trimStart().length);
    wanted = next;
    at += whole.length;
  }
}

interface Token {
  readonly opening: string | undefined;
  readonly closing: string | undefined;
  readonly comma: string | undefined;
  readonly colon: string | undefined;
  readonly string: string | undefined;
}

/** What may follow a token; `undefined` if it may not stand here. */
function after(wanted: Wanted, token: Token, open: string[]): Wanted | undefined {
  const { opening, closing, comma, colon, string } = token;
  if (closing !== undefined) {
    const empty = closing === "}" ? "key or }" : "value or ]";
    const fits = open.pop() === (closing === "}" ? "{" : "[");
    return fits && (wanted === ", or end" || wanted === empty) ? ", or end" : undefined;
  }
  if (comma !== undefined) {
    if (wanted !== ", or end") return undefined;
    const inside = open.at(-1);
    return inside === undefined ? undefined : inside === "{" ? "key" : "value";
  }
  if (colon !== undefined) return wanted === ":" ? "value" : undefined;
  if (wanted === "key" || wanted === "key or }") return string === undefined ? undefined : ":";
  if (wanted !== "value" && wanted !== "value or ]") return undefined;
  if (opening === undefined) return ", or end";
  open.push(opening);
  return opening === "{" ? "key or }" : "value or ]";
}

function placeOf(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
