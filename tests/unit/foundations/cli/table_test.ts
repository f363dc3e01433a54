import assert from "node:assert/strict";
import fc from "fast-check";
import { cut, displayWidth, renderFields, renderTable } from "@lib/foundations/cli/table.ts";

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
  const cell = fc.string({ maxLength: 40 });
  fc.assert(
    fc.property(
      fc.array(cell, { maxLength: 5 }),
      fc.integer({ min: 30, max: 90 }),
      (texts, width) => {
        const rows = texts.map((text) => ["id", "12", text]);
        for (const line of renderTable({ columns, rows, width })) {
          assert.ok(displayWidth(line) <= width);
        }
      },
    ),
  );
});

Deno.test("displayWidth() knows wide and combining characters", () => {
  assert.equal(displayWidth("abc"), 3);
  assert.equal(displayWidth("日本"), 4);
  assert.equal(displayWidth("e\u0301"), 1);
  assert.equal(cut("日本語", 4), "日…");
});

Deno.test("renderFields() leaves out what is not there", () => {
  const fields = [["id", "1"], ["group", undefined], ["state", "ok"]] as const;
  assert.deepEqual(renderFields(fields, (name) => name), ["id     1", "state  ok"]);
});
