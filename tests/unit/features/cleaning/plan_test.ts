import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { CleanKind, KeepByKind, StoredThing } from "@lib/api/clean_source.ts";
import {
  type CleaningFacts,
  type CleaningLimits,
  type HistoryLimits,
  planCleaning,
} from "@lib/features/cleaning/plan.ts";

const MIB = 1_048_576;
const keepAll = { maxAgeMs: Infinity, maxBytes: Infinity };
const keep: KeepByKind = {
  cache: { ...keepAll, perProject: true },
  image: keepAll,
  mirror: keepAll,
};

function limits(history: Partial<HistoryLimits> = {}, more: KeepByKind = {}): CleaningLimits {
  return {
    history: {
      maxAgeMs: Infinity,
      maxJobs: Infinity,
      maxBytes: Infinity,
      minFreeDiskBytes: 0,
      ...history,
    },
    keep: { ...keep, ...more },
  };
}

function thing(kind: CleanKind, name: string, more: Partial<StoredThing> = {}): StoredThing {
  const base = { kind, key: name, name, project: "web", bytes: 10, lastUsedAt: 0, inUse: false };
  return { ...base, ...more };
}

function ended(lastUsedAt: number, bytes = 10): StoredThing {
  return thing("job", `job${lastUsedAt}`, { lastUsedAt, bytes });
}

function history(count: number, bytes: number): readonly StoredThing[] {
  return Array.from({ length: count }, (_, at) => ended(at, bytes));
}

function facts(
  things: readonly StoredThing[],
  more: Partial<CleaningFacts> = {},
): CleaningFacts {
  return { now: 100, freeBytes: 1_000, things, ...more };
}

function chosen(given: CleaningFacts, by: CleaningLimits): string[] {
  return planCleaning(given, by).removals.map(({ name, cause }) => `${name} ${cause}`);
}

Deno.test("planCleaning() keeps everything within the limits", () => {
  assert.deepEqual(chosen(facts([thing("cache", "a"), ended(1)]), limits()), []);
});

Deno.test("planCleaning() removes what is left behind, whatever the limits", () => {
  const given = facts([thing("container", "c"), thing("workspace", "w")]);
  assert.deepEqual(chosen(given, limits()), ["c left_behind", "w left_behind"]);
});

Deno.test("planCleaning() removes what was not used for too long", () => {
  const given = facts([thing("image", "new", { lastUsedAt: 95 }), thing("image", "old")]);
  const by = limits({}, { image: { maxAgeMs: 50, maxBytes: Infinity } });
  assert.deepEqual(chosen(given, by), ["old age"]);
});

Deno.test("planCleaning() bounds caches for each project, the least recently used first", () => {
  const given = facts([
    thing("cache", "young", { lastUsedAt: 2 }),
    thing("cache", "old", { lastUsedAt: 1 }),
    thing("cache", "other", { project: "api" }),
  ]);
  const cache = { maxAgeMs: Infinity, maxBytes: 15, perProject: true };
  assert.deepEqual(chosen(given, limits({}, { cache })), ["old bytes"]);
  const together = { ...cache, perProject: false };
  assert.deepEqual(chosen(given, limits({}, { cache: together })), ["other bytes", "old bytes"]);
});

Deno.test("planCleaning() removes the oldest jobs beyond age, count and bytes", () => {
  const given = facts([ended(3), ended(1), ended(2)]);
  assert.deepEqual(chosen(given, limits({ maxAgeMs: 98 })), ["job1 age"]);
  assert.deepEqual(chosen(given, limits({ maxJobs: 1 })), ["job1 count", "job2 count"]);
  assert.deepEqual(chosen(given, limits({ maxBytes: 15 })), ["job1 bytes", "job2 bytes"]);
});

Deno.test("planCleaning() never chooses what is in use", () => {
  const inUse = { inUse: true };
  const things = [
    thing("image", "i", inUse),
    thing("mirror", "m", inUse),
    thing("container", "c", inUse),
  ];
  const nothing = { maxAgeMs: 0, maxBytes: 0 };
  const by = limits({ minFreeDiskBytes: 1e9 }, { image: nothing, mirror: nothing });
  assert.deepEqual(chosen(facts(things, { freeBytes: 0 }), by), []);
});

Deno.test("planCleaning() goes further below the floor: caches, images, mirrors, then jobs", () => {
  const given = facts([
    ended(1),
    thing("mirror", "m"),
    thing("image", "i"),
    thing("cache", "young", { lastUsedAt: 1 }),
    thing("cache", "old"),
  ], { freeBytes: 0 });
  const all = ["old", "young", "i", "m", "job1"].map((name) => `${name} free_disk`);
  for (const count of [1, 2, 3, 4, 5]) {
    assert.deepEqual(chosen(given, limits({ minFreeDiskBytes: 10 * count })), all.slice(0, count));
  }
});

Deno.test("planCleaning() counts what goes anyway before it goes further", () => {
  const given = facts([thing("workspace", "w", { bytes: 100 }), thing("cache", "c")], {
    freeBytes: 0,
  });
  assert.deepEqual(chosen(given, limits({ minFreeDiskBytes: 100 })), ["w left_behind"]);
});

Deno.test("planCleaning() removes nothing for a disk it does not lie on", () => {
  const given = facts([thing("image", "i", { freedBytes: 0 })], { freeBytes: 0 });
  assert.deepEqual(chosen(given, limits({ minFreeDiskBytes: 10 })), []);
});

Deno.test("planCleaning() keeps the history where removing all of it would not reach the floor", () => {
  const jobs = history(200, 20 * 1_024);
  const by = limits({ minFreeDiskBytes: 512 * MIB });
  const plan = planCleaning(facts(jobs, { freeBytes: 500 * MIB }), by);
  assert.deepEqual(plan.removals, []);
  assert.equal(plan.missingBytes, 12 * MIB);
  assert.deepEqual(plan.keptHistory, { jobs: 200, bytes: 200 * 20 * 1_024 });
});

Deno.test("planCleaning() removes a cache rather than the history", () => {
  const things = [...history(200, 20 * 1_024), thing("cache", "c", { bytes: 100 * MIB })];
  const by = limits({ minFreeDiskBytes: 512 * MIB });
  const plan = planCleaning(facts(things, { freeBytes: 500 * MIB }), by);
  assert.deepEqual(plan.removals.map(({ name }) => name), ["c"]);
  assert.equal(plan.keptHistory, undefined);
});

Deno.test("planCleaning() removes the oldest jobs until the floor is reached, and no more", () => {
  const by = limits({ minFreeDiskBytes: 512 * MIB });
  const given = facts(history(200, MIB), { freeBytes: 500 * MIB });
  assert.equal(planCleaning(given, by).removals.length, 12);
  assert.equal(planCleaning(given, by).removals.at(-1)?.name, "job11");
});

Deno.test("planCleaning() keeps the small jobs that a large one makes needless", () => {
  const things = [...history(200, 20 * 1_024), ended(1_000, 100 * MIB)];
  const by = limits({ minFreeDiskBytes: 512 * MIB });
  assert.deepEqual(chosen(facts(things, { freeBytes: 500 * MIB }), by), ["job1000 free_disk"]);
});

Deno.test("planCleaning() counts what is removed beyond the limits of the history", () => {
  const by = limits({ minFreeDiskBytes: 1_015, maxJobs: 1 });
  const given = facts([ended(1), ended(2), ended(3)]);
  assert.deepEqual(chosen(given, by), ["job1 count", "job2 count"]);
});

const KINDS = ["cache", "image", "mirror", "workspace", "job"] as const;

const anyCase = fc.record({
  things: fc.array(
    fc.record({
      kind: fc.constantFrom(...KINDS),
      bytes: fc.nat(50),
      lastUsedAt: fc.nat(100),
      inUse: fc.boolean(),
    }),
    { maxLength: 40 },
  ).map((list) =>
    list.map(({ kind, inUse, ...more }, index) =>
      thing(kind, `${kind}${index}`, { ...more, inUse: inUse && kind !== "job" })
    )
  ),
  freeBytes: fc.nat(300),
  keep: fc.record({ maxAgeMs: fc.nat(100), maxBytes: fc.nat(200) }),
  history: fc.record({
    maxAgeMs: fc.nat(100),
    maxJobs: fc.nat(20),
    maxBytes: fc.nat(500),
    minFreeDiskBytes: fc.nat(600),
  }),
});

function total(things: readonly StoredThing[]): number {
  return things.reduce((sum, { bytes }) => sum + bytes, 0);
}

Deno.test("planCleaning() chooses nothing twice, nothing in use, and keeps the history's limits", () => {
  fc.assert(fc.property(anyCase, ({ things, freeBytes, keep, history }) => {
    const by = limits(history, { cache: keep, image: keep, mirror: keep });
    const { removals } = planCleaning(facts(things, { freeBytes }), by);
    const keys = new Set(removals.map(({ key }) => key));
    assert.equal(keys.size, removals.length);
    assert(removals.every(({ inUse }) => !inUse));
    const kept = things.filter(({ kind, key }) => kind === "job" && !keys.has(key));
    assert(kept.length <= history.maxJobs);
    assert(total(kept) <= history.maxBytes);
    assert(kept.every(({ lastUsedAt }) => 100 - lastUsedAt <= history.maxAgeMs));
  }));
});

Deno.test("planCleaning() touches history for the floor last, only to reach it, and no more of it", () => {
  fc.assert(fc.property(anyCase, ({ things, freeBytes, keep, history }) => {
    const by = limits(history, { cache: keep, image: keep, mirror: keep });
    const { removals, keptHistory } = planCleaning(facts(things, { freeBytes }), by);
    const keys = new Set(removals.map(({ key }) => key));
    const forFloor = removals.filter(({ cause }) => cause === "free_disk");
    const jobs = forFloor.filter(({ kind }) => kind === "job");
    const left = things.filter(({ inUse, bytes, key }) => !inUse && bytes > 0 && !keys.has(key));
    const surplus = freeBytes + total(removals) - history.minFreeDiskBytes;
    if (jobs.length > 0) {
      assert(surplus >= 0);
      assert(left.every(({ kind }) => kind === "job"));
      assert(jobs.every(({ bytes }) => bytes > surplus));
      assert.equal(keptHistory, undefined);
    }
    // Below the floor nothing is left but a history that would not reach it.
    if (surplus < 0) {
      assert(left.every(({ kind }) => kind === "job"));
      assert(surplus + total(left) < 0);
      assert.equal(keptHistory?.bytes ?? 0, total(left));
    }
    // Without the last cheap thing that was chosen, the floor would not have been reached.
    const last = forFloor.filter(({ kind }) => kind !== "job").at(-1);
    assert(last === undefined || surplus - total(jobs) - last.bytes < 0);
  }));
});
