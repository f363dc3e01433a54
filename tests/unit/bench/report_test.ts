import assert from "node:assert/strict";
import { type Comparison, ratioOf, reachesTarget, summarize } from "../../../bench/report.ts";
import { renderReport } from "../../../bench/table.ts";

function comparison(overrides: Partial<Comparison> = {}): Comparison {
  return {
    name: "start",
    unit: "ms",
    better: "lower",
    ours: { name: "ours", samples: [4, 6, 5] },
    peers: [{ name: "peer", samples: [10, 20, 15] }],
    notes: ["warm"],
    ...overrides,
  };
}

Deno.test("summarize() takes median and p95 between the nearest measurements", () => {
  const samples = Array.from({ length: 101 }, (_, index) => 100 - index);
  assert.deepEqual(summarize(samples), { n: 101, median: 50, p95: 95, min: 0, max: 100 });
  assert.equal(summarize([1, 2]).median, 1.5);
});

Deno.test("summarize() refuses no measurements at all", () => {
  assert.throws(() => summarize([]), RangeError);
});

Deno.test("ratioOf() is above 1 where ours is better, whichever way better goes", () => {
  const lower = comparison();
  const higher = comparison({ better: "higher" });
  const [peer = lower.ours] = lower.peers;
  assert.equal(ratioOf(lower, peer), 3);
  assert.equal(ratioOf(higher, peer), 1 / 3);
});

Deno.test("ratioOf() is undefined if one side is 0", () => {
  const none = comparison({ ours: { name: "ours", samples: [0] } });
  assert.equal(ratioOf(none, comparison().ours), undefined);
});

Deno.test("reachesTarget() checks the median, and only if there is a target", () => {
  assert.equal(reachesTarget(comparison()), undefined);
  assert.equal(reachesTarget(comparison({ target: 5 })), true);
  assert.equal(reachesTarget(comparison({ target: 4.9 })), false);
  assert.equal(reachesTarget(comparison({ better: "higher", target: 5.1 })), false);
});

Deno.test("renderReport() shows every series with its figures, the notes and what was left out", () => {
  const text = renderReport({
    host: { date: "2026-01-02", load_before: "0.1" },
    quick: true,
    names: ["start"],
    rows: [comparison({ target: 5 })],
    timelines: [],
    skipped: ["cold: no socket"],
    failed: 1,
    seconds: { start: 12 },
  });
  assert.match(text, /- load before: 0\.1/);
  assert.match(text, /quick run/);
  assert.match(text, /\*\*start\*\* \(ms\) +\| \*\*ours\*\* \| +5 \| .*≤ 5: reached/);
  assert.match(text, /\| peer +\| +15 \| .* 3× \|/);
  assert.match(text, /- start: warm/);
  assert.match(text, /- left out: cold: no socket/);
  assert.match(text, /- time taken: start 12 s/);
});

Deno.test("renderReport() shows an earlier build's medians and ratios beside this one's", () => {
  const text = renderReport({
    host: {},
    quick: false,
    names: ["start", "cold"],
    rows: [comparison(), comparison({ name: "new" })],
    before: [comparison({ ours: { name: "ours", samples: [10] } })],
    timelines: [],
    skipped: [],
    failed: 0,
    seconds: {},
  });
  assert.match(text, /\| before \| now \|/);
  assert.match(text, /\*\*start\*\* \(ms\) +\| \*\*ours\*\* \| +10 \| +5 \|/);
  assert.match(text, /\| peer +\| +15 \| +15 \| .* 1\.5× \| +3× \|/);
  assert.match(text, /\*\*new\*\* \(ms\) +\| \*\*ours\*\* \| +– \| +5 \|/);
});
