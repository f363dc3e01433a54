import assert from "node:assert/strict";
import * as fc from "fast-check";
import { newJobId } from "@lib/core/ids.ts";
import {
  type CleanKind,
  type HousekeepingFacts,
  type HousekeepingLimits,
  planHousekeeping,
  type StoredThing,
} from "@lib/features/cleaning/plan_housekeeping.ts";
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";
import { projectName } from "../../../support/job_fixtures.ts";

const keepAll = { maxAgeMs: Infinity, maxBytes: Infinity };
const unlimited: HousekeepingLimits = {
  retention: { maxAgeMs: Infinity, maxJobs: Infinity, maxBytes: Infinity, minFreeDiskBytes: 0 },
  caches: keepAll,
  images: keepAll,
  mirrors: keepAll,
};

function thing(kind: CleanKind, name: string, more: Partial<StoredThing> = {}): StoredThing {
  const base = { kind, key: name, name, project: "web", bytes: 10, lastUsedAt: 0, inUse: false };
  return { ...base, ...more };
}

function facts(more: Partial<HousekeepingFacts> = {}): HousekeepingFacts {
  return {
    now: 100,
    freeDiskBytes: 1_000,
    jobs: [],
    bytesOf: ({ logBytes }) => logBytes,
    caches: [],
    images: [],
    mirrors: [],
    leftovers: [],
    imagesShareDisk: true,
    ...more,
  };
}

function ended(finishedAt: number, logBytes = 10): EndedJob {
  return { id: newJobId(), project: projectName(), finishedAt, logBytes };
}

function floor(minFreeDiskBytes: number): HousekeepingLimits {
  return { ...unlimited, retention: { ...unlimited.retention, minFreeDiskBytes } };
}

function chosen(given: HousekeepingFacts, limits: HousekeepingLimits): string[] {
  return planHousekeeping(given, limits).map(({ kind, name, cause }) => `${kind} ${name} ${cause}`);
}

Deno.test("planHousekeeping() keeps everything within the limits", () => {
  const given = facts({ caches: [thing("cache", "a")], jobs: [ended(1)] });
  assert.deepEqual(chosen(given, unlimited), []);
});

Deno.test("planHousekeeping() removes what is left behind, whatever the limits", () => {
  const given = facts({ leftovers: [thing("container", "c"), thing("workspace", "w")] });
  assert.deepEqual(chosen(given, unlimited), [
    "container c left_behind",
    "workspace w left_behind",
  ]);
});

Deno.test("planHousekeeping() removes what was not used for too long", () => {
  const images = [thing("image", "new", { lastUsedAt: 95 }), thing("image", "old")];
  const limits = { ...unlimited, images: { maxAgeMs: 50, maxBytes: Infinity } };
  assert.deepEqual(chosen(facts({ images }), limits), ["image old age"]);
});

Deno.test("planHousekeeping() bounds caches for each project, the least recently used first", () => {
  const caches = [
    thing("cache", "young", { lastUsedAt: 2 }),
    thing("cache", "old", { lastUsedAt: 1 }),
    thing("cache", "other", { project: "api" }),
  ];
  const limits = { ...unlimited, caches: { maxAgeMs: Infinity, maxBytes: 15 } };
  assert.deepEqual(chosen(facts({ caches }), limits), ["cache old bytes"]);
});

Deno.test("planHousekeeping() never chooses what is in use", () => {
  const inUse = { inUse: true };
  const given = facts({
    freeDiskBytes: 0,
    images: [thing("image", "i", inUse)],
    mirrors: [thing("mirror", "m", inUse)],
    leftovers: [thing("container", "c", inUse)],
  });
  const nothing = { maxAgeMs: 0, maxBytes: 0 };
  assert.deepEqual(chosen(given, { ...floor(1e9), images: nothing, mirrors: nothing }), []);
});

Deno.test("planHousekeeping() goes further below the floor: caches, images, mirrors, then jobs", () => {
  const job = ended(1);
  const given = facts({
    freeDiskBytes: 0,
    jobs: [job],
    caches: [thing("cache", "c")],
    images: [thing("image", "i")],
    mirrors: [thing("mirror", "m")],
  });
  const all = [
    "cache c free_disk",
    "image i free_disk",
    "mirror m free_disk",
    `job ${job.id} free_disk`,
  ];
  for (const count of [1, 2, 3, 4]) {
    assert.deepEqual(chosen(given, floor(10 * count)), all.slice(0, count));
  }
});

Deno.test("planHousekeeping() counts what goes anyway before it goes further", () => {
  const given = facts({
    freeDiskBytes: 0,
    leftovers: [thing("workspace", "w", { bytes: 100 })],
    caches: [thing("cache", "c")],
  });
  assert.deepEqual(chosen(given, floor(100)), ["workspace w left_behind"]);
});

Deno.test("planHousekeeping() does not remove images for a disk they do not lie on", () => {
  const given = facts({ freeDiskBytes: 0, images: [thing("image", "i")], imagesShareDisk: false });
  assert.deepEqual(chosen(given, floor(10)), []);
});

Deno.test("planHousekeeping() chooses nothing twice, nothing in use, and enough if there is enough", () => {
  const anyThing = (kind: CleanKind) =>
    fc.array(
      fc.record({ bytes: fc.nat(50), lastUsedAt: fc.nat(100), inUse: fc.boolean() }),
      { maxLength: 8 },
    ).map((list) => list.map((more, index) => thing(kind, `${kind}${index}`, more)));
  const anyKeep = fc.record({ maxAgeMs: fc.nat(100), maxBytes: fc.nat(200) });
  const anyFacts = fc.record({
    freeDiskBytes: fc.nat(300),
    caches: anyThing("cache"),
    images: anyThing("image"),
    mirrors: anyThing("mirror"),
    leftovers: anyThing("workspace"),
    ends: fc.array(fc.tuple(fc.nat(100), fc.nat(50)), { maxLength: 8 }),
  });
  const anyLimits = fc.record({ keep: anyKeep, minFreeDiskBytes: fc.nat(600) });
  fc.assert(fc.property(anyFacts, anyLimits, ({ ends, ...some }, { keep, minFreeDiskBytes }) => {
    const jobs = ends.sort(([a], [b]) => a - b).map(([at, bytes]) => ended(at, bytes));
    const given = facts({ ...some, jobs });
    const limits = { ...floor(minFreeDiskBytes), caches: keep, images: keep, mirrors: keep };
    const removals = planHousekeeping(given, limits);
    const keys = removals.map(({ kind, key }) => `${kind} ${key}`);
    assert.equal(new Set(keys).size, keys.length);
    assert(removals.every(({ inUse }) => !inUse));
    const free = given.freeDiskBytes + removals.reduce((sum, { bytes }) => sum + bytes, 0);
    const { caches, images, mirrors } = given;
    const left = [...caches, ...images, ...mirrors]
      .filter((one) => !one.inUse && one.bytes > 0 && !keys.includes(`${one.kind} ${one.key}`));
    const jobsLeft = jobs.filter(({ id, logBytes }) => logBytes > 0 && !keys.includes(`job ${id}`));
    assert(free >= minFreeDiskBytes || left.length + jobsLeft.length === 0);
  }));
});
