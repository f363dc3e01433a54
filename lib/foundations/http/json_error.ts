/**
 * The place where a text stops being JSON.
 *
 * The engine's own message tells the place of some errors only, and quotes the
 * text, which may hold secrets.
 *
 * @module
 */

/** A place in a text; both count from 1. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
}

/** What is allowed next. */
type Expected = "value" | "value or ]" | "key" | "key or }" | ":" | ", or end";

/**
 * Finds the line and column at which `text` stops being JSON; of a text that ends too early,
 * those of its end. Copes with any depth, as it does not recurse.
 *
 * @returns `undefined` if it is JSON.
 */
export async function findJsonError(text: string): Promise<TextPlace | undefined> {
  const { createScanner } = await import("jsonc-parser");
  const scanner = createScanner(text);
  const open: string[] = [];
  let expected: Expected | undefined = "value";
  while (true) {
    scanner.scan();
    const from = scanner.getTokenOffset();
    const token = text.slice(from, from + scanner.getTokenLength());
    if (token === "" && expected === ", or end" && open.length === 0) return undefined;
    if (/^[ \t\r\n]/.test(token)) continue;
    expected = scanner.getTokenError() === 0 ? after(expected, token, open) : undefined;
    if (expected === undefined) {
      return {
        line: scanner.getTokenStartLine() + 1,
        column: scanner.getTokenStartCharacter() + 1,
      };
    }
  }
}

/** What may follow a token; `undefined` if it may not stand here. */
function after(expected: Expected, token: string, open: string[]): Expected | undefined {
  switch (token) {
    case "}":
    case "]": {
      const fits = open.pop() === (token === "}" ? "{" : "[") &&
        (expected === ", or end" || expected === (token === "}" ? "key or }" : "value or ]"));
      return fits ? ", or end" : undefined;
    }
    case ",": {
      const inside = open.at(-1);
      if (expected !== ", or end" || inside === undefined) return undefined;
      return inside === "{" ? "key" : "value";
    }
    case ":":
      return expected === ":" ? "value" : undefined;
  }
  const isString = token.startsWith('"');
  if (expected === "key" || expected === "key or }") return isString ? ":" : undefined;
  if (expected !== "value" && expected !== "value or ]") return undefined;
  if (token === "{" || token === "[") {
    open.push(token);
    return token === "{" ? "key or }" : "value or ]";
  }
  return isString || /^(?:true|false|null|-?\d.*)$/.test(token) ? ", or end" : undefined;
}
