import assert from "node:assert/strict";
import {
  countRows,
  drawTable,
  formatEvent,
  type LimitRow,
  parseEvent,
  type VmCheckEvent,
} from "../../support/vm_report.ts";

const row = (ok: boolean, text = "x"): LimitRow => ({
  limit: text,
  set: text,
  kernel: text,
  result: text,
  ok,
});

function check(name: string, rest: Partial<VmCheckEvent> = {}): VmCheckEvent {
  return { event: "check", check: name, tookMs: 5, rows: [], ...rest };
}

Deno.test("parseEvent() reads back what formatEvent() wrote, also behind the terminal's noise", () => {
  const event = check("cpu", { rows: [row(true, 'a "quoted" | text')], skipped: "why" });
  assert.deepEqual(parseEvent(formatEvent(event)), event);
  assert.deepEqual(parseEvent(`\u001b[0m[  1.2] ${formatEvent(event)}\r`), event);
});

Deno.test("parseEvent() accepts nothing else as an event", () => {
  const whole = formatEvent(check("cpu"));
  for (
    const line of ["", "Debian GNU/Linux", '{"event":"end"}', whole.slice(0, -3), '@vm {"a":1}']
  ) {
    assert.equal(parseEvent(line), undefined, line);
  }
});

Deno.test("countRows() counts rows, and what broke off or is missing as failed", () => {
  const events = [
    check("a", { rows: [row(true), row(false), row(true)] }),
    check("b", { rows: [row(true)], problem: "it broke off" }),
    check("c", { skipped: "there is no engine" }),
    check("d"),
  ];
  assert.deepEqual(countRows(["a"], events), { passed: 2, failed: 1, skipped: 0 });
  assert.deepEqual(countRows(["b"], events), { passed: 1, failed: 1, skipped: 0 });
  assert.deepEqual(countRows(["c"], events), { passed: 0, failed: 0, skipped: 1 });
  assert.deepEqual(countRows(["d"], events), { passed: 1, failed: 0, skipped: 0 });
  assert.deepEqual(countRows(["a", "never heard of"], events), {
    passed: 2,
    failed: 2,
    skipped: 0,
  });
});

Deno.test("drawTable() keeps its columns whatever the cells hold", () => {
  const table = drawTable([check("a", { rows: [row(true, "a | b\nc"), row(false)] })]);
  const lines = table.split("\n");
  assert.equal(lines.length, 4);
  assert.equal(new Set(lines.map((line) => line.length)).size, 1);
  assert.match(table, /a \\\| b c/);
  assert.match(lines[2] ?? "", /yes/);
  assert.match(lines[3] ?? "", /NO/);
});
