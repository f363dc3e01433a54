import assert from "node:assert/strict";
import fc from "fast-check";
import { redraw } from "@lib/foundations/cli/live_screen.ts";

/** A terminal that knows the sequences that are used, and is told of no other. */
function applied(screen: readonly string[], text: string): string[] {
  const lines = [...screen, ""];
  let row = screen.length;
  let column = 0;
  // ESC becomes a visible stand-in: a pattern is not to hold control characters.
  for (const [token] of text.replaceAll("\x1b", "␛").matchAll(/␛\[\d*[ABJK]|\r|\n|[^␛\r\n]/g)) {
    const [, count, kind] = /^␛\[(\d*)([ABJK])$/.exec(token) ?? [];
    if (kind === "A") row -= Number(count);
    else if (kind === "B") row += Number(count);
    else if (kind === "K") lines[row] = (lines[row] ?? "").slice(0, column);
    else if (kind === "J") lines.splice(row + (column > 0 ? 1 : 0));
    else if (token === "\r") column = 0;
    else if (token === "\n") {
      row++;
      column = 0;
    } else {
      const line = lines[row] ?? "";
      lines[row] = line.slice(0, column) + token + line.slice(column + 1);
      column++;
    }
    while (lines.length <= row) lines.push("");
  }
  assert.deepEqual([row, column], [lines.length - 1, 0]);
  assert.equal(lines.pop(), "");
  return lines;
}

Deno.test("redraw() turns one frame into another", () => {
  const frame = fc.array(fc.constantFrom("", "a", "bc", "a longer line", "x"), { maxLength: 6 });
  fc.assert(fc.property(frame, frame, (before, after) => {
    assert.deepEqual(applied(before, redraw(before, after)), after);
  }));
});

Deno.test("redraw() writes nothing when nothing changed, and only what changed", () => {
  assert.equal(redraw(["a", "b"], ["a", "b"]), "");
  const text = redraw(["first", "second", "third"], ["first", "2nd", "third"]);
  assert.ok(text.includes("2nd") && !text.includes("first") && !text.includes("third"));
});
