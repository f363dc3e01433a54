import assert from "node:assert/strict";
import * as fc from "fast-check";
import { newJobId } from "@lib/core/ids.ts";
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";
import { planRetention, type RetentionLimits } from "@lib/features/cleaning/plan_retention.ts";
import { projectName } from "../../../support/job_fixtures.ts";

const unlimited: RetentionLimits = {
  maxAgeMs: Infinity,
  maxJobs: Infinity,
  maxBytes: Infinity,
  minFreeDiskBytes: 0,
};

function ended(finishedAt: number, logBytes = 10): EndedJob {
  return { id: newJobId(), project: projectName(), finishedAt, logBytes };
}

const three = [ended(1), ended(2), ended(3)];

function causes(limits: Partial<RetentionLimits>, freeDiskBytes = 1_000, now = 10): string[] {
  return planRetention({ ended: three, now, freeDiskBytes }, { ...unlimited, ...limits })
    .map(({ cause }) => cause);
}

Deno.test("planRetention() removes nothing within all limits", () => {
  assert.deepEqual(causes({}), []);
});

Deno.test("planRetention() removes what is older than allowed", () => {
  assert.deepEqual(causes({ maxAgeMs: 8 }), ["age"]);
});

Deno.test("planRetention() removes the oldest beyond the count", () => {
  assert.deepEqual(causes({ maxJobs: 1 }), ["count", "count"]);
});

Deno.test("planRetention() removes the oldest beyond the bytes", () => {
  assert.deepEqual(causes({ maxBytes: 15 }), ["bytes", "bytes"]);
});

Deno.test("planRetention() frees disk until the floor is reached, and no more", () => {
  assert.deepEqual(causes({ minFreeDiskBytes: 1_015 }), ["free_disk", "free_disk"]);
});

Deno.test("planRetention() removes a beginning of the list, and leaves it within the limits", () => {
  const anyLimits = fc.record({
    maxAgeMs: fc.nat(100),
    maxJobs: fc.nat(10),
    maxBytes: fc.nat(500),
    minFreeDiskBytes: fc.nat(500),
  });
  const anyJobs = fc.array(fc.tuple(fc.nat(100), fc.nat(100)), { maxLength: 20 });
  fc.assert(fc.property(anyJobs, anyLimits, fc.nat(500), (jobs, limits, freeDiskBytes) => {
    const all = jobs.sort(([a], [b]) => a - b).map(([at, bytes]) => ended(at, bytes));
    const removals = planRetention({ ended: all, now: 100, freeDiskBytes }, limits);
    assert.deepEqual(removals.map(({ job }) => job), all.slice(0, removals.length));
    const kept = all.slice(removals.length);
    const bytes = (list: readonly EndedJob[]) => list.reduce((sum, job) => sum + job.logBytes, 0);
    assert(kept.length <= limits.maxJobs);
    assert(bytes(kept) <= limits.maxBytes);
    assert(kept.every(({ finishedAt }) => 100 - finishedAt <= limits.maxAgeMs));
    const free = freeDiskBytes + bytes(removals.map(({ job }) => job));
    assert(kept.length === 0 || free >= limits.minFreeDiskBytes);
  }));
});
