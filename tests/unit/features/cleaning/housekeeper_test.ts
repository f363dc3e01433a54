import assert from "node:assert/strict";
import { Housekeeper } from "@lib/features/cleaning/housekeeper.ts";
import { type CleanSource, type RemovalResult, REMOVED } from "@lib/features/cleaning/source.ts";
import type { StoredThing } from "@lib/features/cleaning/plan_housekeeping.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { RecordingLogger } from "../../../support/recording_logger.ts";

const never = new AbortController().signal;

function workspace(name: string): StoredThing {
  return { kind: "workspace", key: name, name, bytes: 10, lastUsedAt: 0, inUse: false };
}

function setup(
  options: {
    readonly find?: () => Promise<readonly StoredThing[]>;
    readonly remove?: (name: string) => Promise<RemovalResult>;
  } = {},
) {
  const removed: string[] = [];
  const log = new RecordingLogger();
  const source: CleanSource = {
    kinds: ["workspace"],
    async find() {
      const things = await (options.find?.() ?? Promise.resolve([workspace("a"), workspace("b")]));
      return { things, skipped: [] };
    },
    async remove({ name }) {
      const result = await (options.remove?.(name) ?? Promise.resolve(REMOVED));
      if (result.kind === "removed") removed.push(name);
      return result;
    },
  };
  const keep = { maxAgeMs: Infinity, maxBytes: Infinity };
  const housekeeper = new Housekeeper({
    jobs: {
      list: () => [],
      measure: () => Promise.resolve(() => 0),
      remove: () => Promise.resolve(true),
    },
    openSources: () =>
      Promise.resolve({
        sources: [source],
        imagesShareDisk: false,
        skipped: ["Images were left alone: no engine answers"],
        [Symbol.dispose]() {},
      }),
    limits: () => ({
      retention: { ...keep, maxJobs: Infinity, minFreeDiskBytes: 0 },
      caches: keep,
      images: keep,
      mirrors: keep,
    }),
    freeBytes: () => 1_000,
    clock: new FakeClock(),
    log,
  });
  return { housekeeper, removed, log };
}

Deno.test("clean() removes what the plan chose, and logs each", async () => {
  const t = setup();
  const report = await t.housekeeper.clean({ dryRun: false }, never);
  assert.deepEqual(t.removed, ["a", "b"]);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["removed", "removed"]);
  assert.equal(t.log.messages.filter(({ message }) => message === "Removed").length, 2);
});

Deno.test("clean() changes nothing in a dry run", async () => {
  const t = setup();
  const report = await t.housekeeper.clean({ dryRun: true }, never);
  assert.deepEqual(t.removed, []);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["planned", "planned"]);
});

Deno.test("clean() goes on after a failure and reports it", async () => {
  const t = setup({
    remove: (name) => name === "a" ? Promise.reject(new Error("busy")) : Promise.resolve(REMOVED),
  });
  const report = await t.housekeeper.clean({ dryRun: false }, never);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["failed", "removed"]);
  assert.equal(report.items[0]?.detail, "busy");
});

Deno.test("clean() tells what was kept, and why", async () => {
  const t = setup({ remove: () => Promise.resolve({ kind: "kept", why: "it is in use" }) });
  const report = await t.housekeeper.clean({ dryRun: false }, never);
  assert.deepEqual(report.items.map(({ outcome }) => outcome), ["kept", "kept"]);
  assert.equal(report.items[0]?.detail, "it is in use");
});

Deno.test("clean() skips a source that cannot look, and says so beside what was skipped before", async () => {
  const t = setup({ find: () => Promise.reject(new Error("no right to read")) });
  const report = await t.housekeeper.clean({ dryRun: false }, never);
  assert.deepEqual(report.skipped, [
    "Images were left alone: no engine answers",
    "Cannot look at workspace: no right to read",
  ]);
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
  const one = t.housekeeper.clean({ dryRun: false }, never);
  const impatient = new AbortController();
  const two = t.housekeeper.clean({ dryRun: false }, impatient.signal);
  const three = t.housekeeper.clean({ dryRun: false }, never);
  impatient.abort(new Error("gave up"));
  await assert.rejects(two, /gave up/);
  await began.promise;
  assert.deepEqual(calls, ["a"]);
  first.resolve(REMOVED);
  await Promise.all([one, three]);
  assert.deepEqual(calls, ["a", "b", "a", "b"]);
});

Deno.test("clean() stops between two removals when it is told to", async () => {
  const stop = new AbortController();
  const t = setup({
    remove: () => {
      stop.abort(new Error("the client went away"));
      return Promise.resolve(REMOVED);
    },
  });
  await assert.rejects(
    t.housekeeper.clean({ dryRun: false }, stop.signal),
    /the client went away/,
  );
  assert.deepEqual(t.removed, ["a"]);
});
