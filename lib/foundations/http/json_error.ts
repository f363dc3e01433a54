/**
 * Locates the error in invalid JSON. The engine's message does not always have the
 * position, and quotes the text, which may contain secrets.
 *
 * @module
 */
import { turn } from "@lib/core/abort.ts";

/** Tokens that are read before the event loop turns. */
const TOKENS_AT_ONCE = 4_096;

/** The tokens allowed next. */
type Expected = "value" | "value or ]" | "key" | "key or }" | ":" | ", or end";

/**
 * Returns the line and column, counted from 1, of the first error in `text`, or of its end if
 * it is incomplete; `undefined` if it is JSON. Does not recurse, so any depth is safe.
 */
export async function findJsonError(
  text: string,
): Promise<{ readonly line: number; readonly column: number } | undefined> {
  const { createScanner } = await import("jsonc-parser");
  const scanner = createScanner(text);
  const open: string[] = [];
  let expected: Expected | undefined = "value";
  for (let count = 1;; count++) {
    if (count % TOKENS_AT_ONCE === 0) await turn();
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

/** Returns the tokens allowed after a token; `undefined` if it is not allowed here. */
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
