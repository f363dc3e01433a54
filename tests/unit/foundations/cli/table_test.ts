import assert from "node:assert/strict";
import fc from "fast-check";
import stringWidth from "string-width";
import { cut, renderFields, renderTable } from "@lib/foundations/cli/table.ts";

const columns = [
  { title: "ID" },
  { title: "SIZE", align: "right" as const },
  { title: "RUNS", flexible: true },
];

Deno.test("renderTable() aligns columns and leaves no blanks at the end", () => {
  assert.deepEqual(renderTable({ columns, rows: [["a", "5", "make"], ["bcd", "50", ""]] }), [
    "ID   SIZE  RUNS",
    "a       5  make",
    "bcd    50",
  ]);
});

Deno.test("renderTable() cuts flexible columns to the terminal", () => {
  const lines = renderTable({ columns, rows: [["a", "5", "a very long command"]], width: 20 });
  assert.equal(lines[1], "a      5  a very lo…");
});

Deno.test("renderTable() paints text, not padding", () => {
  const paint = (text: string) => `<${text}>`;
  const rows = [[{ text: "a", paint }, "5", "x"], ["bcd", "5", "x"]];
  assert.equal(renderTable({ columns, rows })[1], "<a>       5  x");
});

Deno.test("renderTable() never exceeds a terminal that holds the fixed columns", () => {
  const cell = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.string({ maxLength: 40, unit: "grapheme" }),
  );
  fc.assert(
    fc.property(
      fc.array(cell, { maxLength: 5 }),
      fc.integer({ min: 30, max: 90 }),
      (texts, width) => {
        const rows = texts.map((text) => ["id", "12", text]);
        for (const line of renderTable({ columns, rows, width })) {
          assert.ok(stringWidth(line) <= width);
        }
      },
    ),
  );
});

Deno.test("cut() counts columns and never splits a character", () => {
  assert.equal(cut("abc", 3), "abc");
  assert.equal(cut("日本語", 4), "日…");
  assert.equal(cut("e\u0301e\u0301", 2), "e\u0301e\u0301");
  assert.equal(cut("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 5), "👩‍👩‍👧👩‍👩‍👧…");
});

Deno.test("renderFields() leaves out what is not there", () => {
  const fields = [["id", "1"], ["group", undefined], ["state", "ok"]] as const;
  assert.deepEqual(renderFields(fields, (name) => name), ["id     1", "state  ok"]);
});
