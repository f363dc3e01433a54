import assert from "node:assert/strict";
import { openScreen, type Screen } from "@lib/foundations/terminal/screen.ts";

function open(columns: number, rows: number): Screen & { readonly answers: readonly string[] } {
  const answers: string[] = [];
  const screen = openScreen({ columns, rows }, {
    scrollback: 100,
    answer: (text) => answers.push(text),
  });
  return Object.assign(screen, { answers });
}

function write(screen: Screen, text: string): Promise<void> {
  return new Promise((resolve) => screen.write(new TextEncoder().encode(text), resolve));
}

for (
  const [name, text] of [
    ["colours and text", "plain \x1b[1;31mred\x1b[0m\r\n\x1b[48;5;20mblue\x1b[0m"],
    ["wide characters", "Grüße, 漢字\r\n字字字字字\x1b[2;5Hx"],
    ["the alternate screen and its modes", "below\x1b[?1049h\x1b[2;3Habove\x1b[?2004h\x1b[?1h"],
    ["a cursor in the middle", "\x1b[10;20Hhere\x1b[3;7H"],
    ["a line that is full", `${"x".repeat(40)}\x1b[2;1H${"y".repeat(40)}`],
  ] as const
) {
  Deno.test(`Screen.draw() draws ${name} so that another screen is the same`, async () => {
    using first = open(40, 12);
    await write(first, text);
    first.resize({ columns: 50, rows: 14 });
    using second = open(50, 14);
    await write(second, first.draw(100));
    assert.equal(second.draw(100), first.draw(100));
    // What follows lands at the same place.
    await write(first, "next");
    await write(second, "next");
    assert.equal(second.draw(100), first.draw(100));
  });
}

Deno.test("Screen answers a program's questions, and keeps a title that is not too long", async () => {
  using screen = open(40, 12);
  await write(screen, `\x1b[6n\x1b]0;${"t".repeat(10_000)}\x07`);
  assert.deepEqual(screen.answers, ["\x1b[1;1R"]);
  assert.equal(screen.title.length, 256);
});
