import assert from "node:assert/strict";
import fc from "fast-check";
import stringWidth from "string-width";
import { renderFields, renderTable } from "@lib/foundations/cli/table.ts";

const columns = [
  { title: "ID" },
  { title: "SIZE", align: "right" as const },
  { title: "RUNS", flexible: true },
];

Deno.test("renderTable() aligns columns and leaves no blanks at the end", async () => {
  assert.deepEqual(await renderTable({ columns, rows: [["a", "5", "make"], ["bcd", "50", ""]] }), [
    "ID   SIZE  RUNS",
    "a       5  make",
    "bcd    50",
  ]);
});

Deno.test("renderTable() cuts flexible columns to the terminal", async () => {
  const lines = await renderTable({
    columns,
    rows: [["a", "5", "a very long command"]],
    width: 20,
  });
  assert.equal(lines[1], "a      5  a very lo…");
});

Deno.test("renderTable() paints text, not padding", async () => {
  const paint = (text: string) => `<${text}>`;
  const rows = [[{ text: "a", paint }, "5", "x"], ["bcd", "5", "x"]];
  assert.equal((await renderTable({ columns, rows }))[1], "<a>       5  x");
});

Deno.test("renderTable() never exceeds a terminal that holds the fixed columns", async () => {
  const cell = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.string({ maxLength: 40, unit: "grapheme" }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(cell, { maxLength: 5 }),
      fc.integer({ min: 30, max: 90 }),
      async (texts, width) => {
        const rows = texts.map((text) => ["id", "12", text]);
        for (const line of await renderTable({ columns, rows, width })) {
          assert.ok(stringWidth(line) <= width);
        }
      },
    ),
  );
});

Deno.test("renderTable() counts columns and never splits a character", async () => {
  const columns = [{ title: "A", flexible: true }];
  const cut = async (text: string) =>
    (await renderTable({ columns, rows: [[text]], width: 8 })).at(-1);
  assert.equal(await cut("12345678"), "12345678");
  assert.equal(await cut("123456789"), "1234567…");
  assert.equal(await cut("日本語日本語"), "日本語…");
  assert.equal(await cut("e\u0301".repeat(8)), "e\u0301".repeat(8));
  assert.equal(await cut("👩‍👩‍👧".repeat(5)), `${"👩‍👩‍👧".repeat(3)}…`);
});

Deno.test("renderFields() leaves out what is not there", () => {
  const fields = [["id", "1"], ["group", undefined], ["state", "ok"]] as const;
  assert.deepEqual(renderFields(fields, (name) => name), ["id     1", "state  ok"]);
});
