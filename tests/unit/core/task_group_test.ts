import assert from "node:assert/strict";
import { ignore } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";

function setup() {
  const failures: (readonly [string, unknown])[] = [];
  const group = new TaskGroup({ onFailure: (name, error) => void failures.push([name, error]) });
  return { group, failures, [Symbol.asyncDispose]: () => group[Symbol.asyncDispose]() };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  );
}

Deno.test("TaskGroup aborts its tasks when disposed and waits for their end", async () => {
  const t = setup();
  const order: string[] = [];
  t.group.spawn("loop", async (signal) => {
    await untilAborted(signal).catch(ignore("the group ends"));
    await Promise.resolve();
    order.push("task");
  });
  assert.deepEqual(t.group.names, ["loop"]);
  await t.group[Symbol.asyncDispose]();
  order.push("disposed");
  assert.deepEqual(order, ["task", "disposed"]);
  assert.deepEqual(t.failures, []);
});

Deno.test("TaskGroup reports a failing task and keeps the others", async () => {
  await using t = setup();
  const error = new Error("broken");
  t.group.spawn("good", untilAborted);
  t.group.spawn("bad", () => Promise.reject(error));
  await new Promise<void>((resolve) => queueMicrotask(() => queueMicrotask(resolve)));
  while (t.group.names.includes("bad")) await Promise.resolve();
  assert.deepEqual(t.failures, [["bad", error]]);
  assert.deepEqual(t.group.names, ["good"]);
});

Deno.test("TaskGroup reports a task that throws before it waits", async () => {
  await using t = setup();
  t.group.spawn("sync", () => {
    throw new Error("at once");
  });
  while (t.group.names.length > 0) await Promise.resolve();
  assert.equal(t.failures.length, 1);
});

Deno.test("TaskGroup does not report failures caused by its own end", async () => {
  const t = setup();
  t.group.spawn("loop", untilAborted);
  await t.group[Symbol.asyncDispose]();
  assert.deepEqual(t.failures, []);
});

Deno.test("TaskGroup starts nothing once disposed, and may be disposed again", async () => {
  const t = setup();
  await t.group[Symbol.asyncDispose]();
  await t.group[Symbol.asyncDispose]();
  let started = false;
  t.group.spawn("late", () => {
    started = true;
    return Promise.resolve();
  });
  assert.ok(!started);
  assert.ok(t.group.signal.aborted);
});

Deno.test("TaskGroup tells when the tasks that it has have ended", async () => {
  const t = setup();
  const end = Promise.withResolvers<void>();
  t.group.spawn("short", () => end.promise);
  const ended = t.group.ended();
  end.resolve();
  await ended;
  assert.deepEqual(t.group.names, []);
  await t.group.ended();
  await t[Symbol.asyncDispose]();
});
