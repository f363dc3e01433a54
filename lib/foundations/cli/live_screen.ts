/**
 * A region of the terminal that is updated in place: only changed lines are rewritten.
 *
 * @module
 */

/** Moves up, and back to the first column. */
const up = (lines: number) => lines > 0 ? `\x1b[${lines}A\r` : "\r";
const DOWN = "\x1b[1B\r";
const CLEAR_TO_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/**
 * Returns the output that replaces `before` with `after`. Before and after it, the
 * cursor is at the start of the line below the last one.
 */
export function redraw(before: readonly string[], after: readonly string[]): string {
  let first = 0;
  while (first < before.length && before[first] === after[first]) first++;
  if (first === before.length && first === after.length) return "";
  let text = up(before.length - first);
  let pending = "";
  for (let index = first; index < after.length; index++) {
    const line = after[index] ?? "";
    if (index < before.length && before[index] === line) {
      pending += DOWN;
      continue;
    }
    text += `${pending}${line}${index < before.length ? CLEAR_TO_LINE_END : ""}\n`;
    pending = "";
  }
  text += pending;
  return after.length < before.length ? text + CLEAR_BELOW : text;
}
