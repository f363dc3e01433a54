import assert from "node:assert/strict";
import {
  type CleanSource,
  type RemovalResult,
  REMOVED,
  type StoredThing,
} from "@lib/api/clean_source.ts";
import { Cleaner, type CleanRequest } from "@lib/features/cleaning/cleaner.ts";
import type { History } from "@lib/features/cleaning/own_sources.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { RecordingLogger } from "../../../support/recording_logger.ts";

const never = new AbortController().signal;

function thing(kind: StoredThing["kind"], name: string, bytes = 10): StoredThing {
  return { kind, key: name, name, bytes, lastUsedAt: 0, inUse: false };
}

interface SetupOptions {
  readonly find?: () => Promise<readonly StoredThing[]>;
  readonly remove?: (name: string) => Promise<RemovalResult>;
  /** Of a thing's bytes, as some are larger than they say. */
  readonly freedPerByte?: number;
  readonly minFreeDiskBytes?: number;
  readonly usedBytes?: number;
  readonly jobs?: readonly StoredThing[];
  /** Things that could not be removed before. */
  readonly remains?: number;
}

/** A cleaner over things in memory; removing one frees its bytes. */
function setup(options: SetupOptions = {}) {
  const removed: string[] = [];
  const looked: string[] = [];
  const log = new RecordingLogger();
  let freeBytes = 1_000;
  const source = (kind: StoredThing["kind"], find: SetupOptions["find"]): CleanSource => ({
    kinds: [kind],
    ...(kind === "cache" || kind === "image" ? { keep: () => ({ [kind]: keep }) } : {}),
    async find() {
      looked.push(kind);
      return { things: await (find?.() ?? Promise.resolve([])) };
    },
    async remove({ name, bytes }) {
      const result = await (options.remove?.(name) ?? Promise.resolve(REMOVED));
      if (result.kind === "removed") removed.push(name);
      freeBytes += bytes * (options.freedPerByte ?? 1);
      return result;
    },
    close: () => void looked.push(`${kind} closed`),
  });
  const keep = { maxAgeMs: Infinity, maxBytes: Infinity };
  const { jobs = [] } = options;
  const history: History = {
    ...source("job", () => Promise.resolve(jobs)),
    list() {
      looked.push("list of jobs");
      return Promise.resolve(jobs);
    },
  };
  const found = () => Promise.resolve([thing("workspace", "a"), thing("workspace", "b")]);
  const cleaner = new Cleaner({
    history,
    orphans: source("temporary", undefined),
    sources: [
      source("image", () => Promise.resolve([thing("image", "i", 500)])),
      source("workspace", options.find ?? found),
      source("cache", () => Promise.resolve([thing("cache", "c", 100)])),
    ],
    limits: () => ({
      ...keep,
      maxJobs: Infinity,
      maxBytes: 1e6,
      minFreeDiskBytes: options.minFreeDiskBytes ?? 0,
    }),
    disk: () => ({ freeBytes, usedBytes: options.usedBytes ?? 0 }),
    remains: () => Promise.resolve({ items: [], count: options.remains ?? 0 }),
    clock: new FakeClock(),
    log,
  });
  const all: CleanRequest = { dryRun: false, scope: "all" };
  return { cleaner, removed, looked, log, all };
}

Deno.test("clean() removes what the plan chose, and logs each", async () => {
  const t = setup();
  const report = await t.cleaner.clean(t.all, never);
  assert.deepEqual(t.removed, ["a", "b"]);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["removed", "removed"]);
  assert.equal(t.log.messages.filter(({ message }) => message === "Removed").length, 2);
});

Deno.test("clean() changes nothing in a dry run", async () => {
  const t = setup();
  const report = await t.cleaner.clean({ ...t.all, dryRun: true }, never);
  assert.deepEqual(t.removed, []);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["planned", "planned"]);
});

Deno.test("clean() goes on after a failure and reports it", async () => {
  const t = setup({
    remove: (name) => name === "a" ? Promise.reject(new Error("busy")) : Promise.resolve(REMOVED),
  });
  const report = await t.cleaner.clean(t.all, never);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["failed", "removed"]);
  assert.equal(report.items[0]?.detail, "busy");
});

Deno.test("clean() reports what was kept, and why", async () => {
  const t = setup({ remove: () => Promise.resolve({ kind: "kept", why: "it is in use" }) });
  const report = await t.cleaner.clean(t.all, never);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["kept", "kept"]);
  assert.equal(report.items[0]?.detail, "it is in use");
});

Deno.test("clean() skips a source that cannot look, and says so", async () => {
  const t = setup({ find: () => Promise.reject(new Error("no right to read")) });
  const report = await t.cleaner.clean(t.all, never);
  assert.deepEqual(report.skipped, ["Cannot examine workspace: no right to read"]);
});

Deno.test("clean() runs one cleaning at a time, also after a caller gave up waiting", async () => {
  const first = Promise.withResolvers<RemovalResult>();
  const began = Promise.withResolvers<void>();
  const calls: string[] = [];
  const t = setup({
    remove: (name) => {
      calls.push(name);
      began.resolve();
      return calls.length === 1 ? first.promise : Promise.resolve(REMOVED);
    },
  });
  const one = t.cleaner.clean(t.all, never);
  const impatient = new AbortController();
  const two = t.cleaner.clean(t.all, impatient.signal);
  const three = t.cleaner.clean(t.all, never);
  impatient.abort(new Error("gave up"));
  await assert.rejects(two, /gave up/);
  await began.promise;
  assert.deepEqual(calls, ["a"]);
  first.resolve(REMOVED);
  await Promise.all([one, three]);
  assert.deepEqual(calls, ["a", "b", "a", "b"]);
});

Deno.test("clean() stops between two removals when aborted", async () => {
  const stop = new AbortController();
  const t = setup({
    remove: () => {
      stop.abort(new Error("the client went away"));
      return Promise.resolve(REMOVED);
    },
  });
  await assert.rejects(
    t.cleaner.clean(t.all, stop.signal),
    /the client went away/,
  );
  assert.deepEqual(t.removed, ["a"]);
});

const background: CleanRequest = { dryRun: false, scope: "background" };

Deno.test("clean() in the background lists the jobs and opens no source while the disk has room", async () => {
  const t = setup({ jobs: [thing("job", "j")] });
  await t.cleaner.clean(background, never);
  t.looked.length = 0;
  await t.cleaner.clean(background, never);
  assert.deepEqual(t.looked.filter((one) => !one.endsWith(" closed")), ["list of jobs"]);
  assert.deepEqual(t.removed, []);
});

Deno.test("clean() in the background looks again for what could not be removed", async () => {
  const t = setup({ remains: 1 });
  await t.cleaner.clean({ dryRun: false, scope: "background" }, never);
  assert.deepEqual(t.removed, ["a", "b"]);
  assert.deepEqual(t.looked.filter((each) => !each.endsWith("closed")), [
    "list of jobs",
    "temporary",
    "workspace",
  ]);
});

Deno.test("clean() in the background measures the jobs when they could be too large", async () => {
  const t = setup({ jobs: [thing("job", "j", 2e6)], usedBytes: 3e6 });
  await t.cleaner.clean(background, never);
  assert(!t.looked.includes("list of jobs"));
  assert.deepEqual(t.removed, ["j"]);
});

Deno.test("clean() below the floor looks at the cheapest things first, and no further than needed", async () => {
  const t = setup({ jobs: [thing("job", "j")], minFreeDiskBytes: 1_050 });
  await t.cleaner.clean(background, never);
  assert.deepEqual(
    t.looked.filter((one) => !one.endsWith(" closed")),
    ["job", "temporary", "workspace", "cache"],
  );
  assert.deepEqual(t.removed, ["a", "b", "c"]);
});

Deno.test("clean() closes the sources, also after one that cannot look", async () => {
  const t = setup({ find: () => Promise.reject(new Error("no right to read")) });
  await t.cleaner.clean(t.all, never);
  assert(t.looked.includes("workspace closed"));
  assert(t.looked.includes("image closed"));
});

Deno.test("clean() keeps the history that would not reach the floor, and says so with the figures", async () => {
  const t = setup({ jobs: [thing("job", "j", 4_096)], minFreeDiskBytes: 1e6 });
  const report = await t.cleaner.clean(background, never);
  assert.deepEqual(t.removed, ["a", "b", "c", "i"]);
  assert.match(
    report.skipped.join(),
    /^Kept 1 ended jobs: removing them would free 4K, but 975.* more/,
  );
  const warning = t.log.messages.find(({ level }) => level === "warning");
  assert.match(warning?.message ?? "", /^Kept the ended jobs/);
  assert.deepEqual(warning?.fields, {
    jobs: 1,
    bytes: 4_096,
    missingBytes: 1e6 - 1_000 - 620,
    minFreeDiskBytes: 1e6,
  });
});

Deno.test("clean() stops removing for the floor once the disk says that it is reached", async () => {
  const caches = [thing("cache", "c1", 100), thing("cache", "c2", 100)];
  const find = () => Promise.resolve(caches);
  const t = setup({ find, minFreeDiskBytes: 1_150, freedPerByte: 2 });
  const report = await t.cleaner.clean(background, never);
  assert.deepEqual(t.removed, ["c1"]);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["removed", "kept"]);
  assert.equal(report.items[1]?.detail, "enough disk is free by now");
});
