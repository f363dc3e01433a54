import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type IndexedLog,
  planRecords,
  type SeenStream,
  totalBytes,
} from "@lib/spine/logs/log_plan.ts";

const EMPTY: IndexedLog = { ends: {}, timeMs: 0 };

function seen(stdout: number, stderr: number, timeMs = 5): SeenStream[] {
  return [{ stream: "stdout", size: stdout, timeMs }, { stream: "stderr", size: stderr, timeMs }];
}

Deno.test("planRecords() gives new bytes their place, stream after stream", () => {
  const plan = planRecords(EMPTY, seen(3, 4), { maxBytes: 100 });
  assert.deepEqual(plan.records, [
    { stream: "stdout", timeMs: 5, viewEnd: 3, streamEnd: 3 },
    { stream: "stderr", timeMs: 5, viewEnd: 7, streamEnd: 4 },
  ]);
  assert.deepEqual(plan.cuts, []);
  assert.deepEqual(planRecords(plan.indexed, seen(3, 4), { maxBytes: 100 }).records, []);
});

Deno.test("planRecords() cuts what is over the cap, on all streams together", () => {
  const plan = planRecords(EMPTY, seen(6, 9), { maxBytes: 10 });
  assert.equal(totalBytes(plan.indexed), 10);
  assert.deepEqual(plan.cuts, [{ stream: "stderr", keepBytes: 4, dropBytes: 5 }]);
  const later = planRecords(plan.indexed, seen(7, 4), { maxBytes: 10 });
  assert.deepEqual(later.records, []);
  assert.deepEqual(later.cuts, [{ stream: "stdout", keepBytes: 6, dropBytes: 1 }]);
});

Deno.test("planRecords() adds nothing for a file that became smaller", () => {
  const before: IndexedLog = { ends: { merged: 10 }, timeMs: 1 };
  const plan = planRecords(before, [{ stream: "merged", size: 2, timeMs: 9 }], { maxBytes: 100 });
  assert.deepEqual(plan, { records: [], cuts: [], indexed: before });
});

Deno.test("planRecords() never lets time or totals run backwards", () => {
  const look = fc.tuple(fc.nat(50), fc.nat(50), fc.nat(1_000));
  fc.assert(fc.property(fc.array(look), fc.nat(60), (looks, maxBytes) => {
    let indexed = EMPTY;
    let last = { timeMs: 0, viewEnd: 0 };
    for (const [stdout, stderr, timeMs] of looks) {
      const plan = planRecords(indexed, seen(stdout, stderr, timeMs), { maxBytes });
      for (const record of plan.records) {
        assert.ok(record.timeMs >= last.timeMs && record.viewEnd > last.viewEnd);
        assert.ok(record.streamEnd <= record.viewEnd && record.viewEnd <= maxBytes);
        last = record;
      }
      if (plan.cuts.length > 0) assert.equal(totalBytes(plan.indexed), maxBytes);
      indexed = plan.indexed;
    }
  }));
});
