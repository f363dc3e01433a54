import assert from "node:assert/strict";
import { renderCleaning, renderRemains, withProgress } from "@lib/features/cleaning/commands.ts";
import { painter } from "@lib/api/client/format.ts";
import type { CleanAnswer, CleanItemAnswer } from "@lib/features/cleaning/commands.ts";

import { FakeClock } from "../../../support/fake_clock.ts";

const plain = painter(false);

function item(changes: Partial<CleanItemAnswer> = {}): CleanItemAnswer {
  return {
    kind: "cache",
    name: "web/npm",
    project: "web",
    bytes: 1_024,
    last_used_at: "2026-01-01T00:00:00.000Z",
    cause: "age",
    outcome: "removed",
    detail: null,
    ...changes,
  };
}

function answer(items: readonly CleanItemAnswer[], dryRun = false): CleanAnswer {
  const free = { free_bytes_before: 0, free_bytes_after: 2_048 };
  return { dry_run: dryRun, items: [...items], skipped: [], ...free };
}

Deno.test("renderCleaning() sums up by kind and cause", async () => {
  const items = [item(), item(), item({ cause: "free_disk" }), item({ kind: "image" })];
  assert.deepEqual(await renderCleaning(answer(items), plain), [
    "WHAT   COUNT  SIZE  WHY",
    "cache      2    2K  not used for long",
    "cache      1    1K  the disk is too full",
    "image      1    1K  not used for long",
    "Removed 4 things of 4K; 2K are free",
  ]);
});

Deno.test("renderRemains() shows some of many, and how many more there are", () => {
  const items = Array.from({ length: 1_000 }, (_, index) => ({
    path: `projects/web/jobs/${index}`,
    reason: "busy",
    since: "2026-01-01T00:00:00.000Z",
  }));
  const lines = renderRemains({ ...answer([]), remains: { count: 5_000, items } });
  assert.equal(lines[0], "5000 things of jobs cannot be removed, and will be tried again:");
  assert.equal(lines.length, 22);
  assert.equal(lines.at(-1), "  and 4980 more; --json lists up to 1,000");
});

Deno.test("renderRemains() lists what resists removal, and is silent of nothing", () => {
  const since = "2026-01-01T00:00:00.000Z";
  const items = [{ path: "projects/web/tmp/.gone-1", reason: "rm:\nno", since }];
  assert.deepEqual(renderRemains({ ...answer([]), remains: { count: 1, items } }), [
    "1 thing of jobs cannot be removed, and will be tried again:",
    `  projects/web/tmp/.gone-1, since ${since}: rm: no`,
  ]);
  assert.deepEqual(renderRemains({ ...answer([]), remains: { count: 0, items: [] } }), []);
  assert.deepEqual(renderRemains(answer([])), []);
  const failed = answer([item({ outcome: "failed", detail: "/x/projects/web/tmp/.gone-1: no" })]);
  assert.deepEqual(renderRemains({ ...failed, remains: { count: 1, items } }), []);
});

Deno.test("renderCleaning() says of a dry run that nothing was changed", async () => {
  const lines = await renderCleaning(answer([item({ outcome: "planned" })], true), plain);
  assert.equal(lines.at(-1), "Would remove 1 thing of 1K; nothing was changed, 2K are free");
});

Deno.test("renderCleaning() does not count what was kept or could not be removed", async () => {
  const items = [item({ outcome: "kept" }), item({ outcome: "failed", detail: "busy" })];
  assert.deepEqual(await renderCleaning(answer(items), plain), [
    "Nothing was removed; 2K are free",
  ]);
  assert.deepEqual(await renderCleaning(answer([]), plain), ["Nothing to remove; 2K are free"]);
});

Deno.test("withProgress() shows on a terminal that a long cleaning continues, until it is done", async () => {
  const notes: string[] = [];
  const clock = new FakeClock();
  const out = {
    isTerminal: true,
    isColoured: false,
    size: () => undefined,
    write: () => Promise.resolve(),
    line: () => Promise.resolve(),
    json: () => Promise.resolve(),
    note: (text: string) => void notes.push(text),
    failed: () => {},
    isLively: false,
    progress: () => {},
  };
  const { signal } = new AbortController();
  const answer = Promise.withResolvers<string>();
  const done = withProgress({ out, clock, signal }, () => answer.promise);
  await clock.tick(11_000);
  assert.deepEqual(notes, ["still cleaning after 5s", "still cleaning after 10s"]);
  answer.resolve("the answer");
  assert.equal(await done, "the answer");
  await clock.tick(60_000);
  assert.equal(notes.length, 2);
  assert.equal(clock.sleeping, 0);
});
