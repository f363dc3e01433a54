import assert from "node:assert/strict";
import { DecorrelatedBackoff } from "@lib/features/console/backoff.ts";
import { Outbox } from "@lib/features/console/outbox.ts";

Deno.test("Outbox keeps the newest of each type, and counts what it drops", () => {
  const outbox = new Outbox();
  for (let number = 0; number < 60 + 5; number++) {
    outbox.add("metrics", { number }, number);
  }
  outbox.add("event", {}, 0);
  assert.equal(outbox.held, 60 + 1);
  assert.equal(outbox.take(100)?.payload["number"], 5);
  assert.deepEqual(outbox.counts.get("metrics"), { sent: 1, dropped: 5 });
});

Deno.test("Outbox drops the result of a command that the console no longer waits for", () => {
  const outbox = new Outbox();
  outbox.add("command:result", { command_id: "c1" }, 0);
  assert.equal(outbox.take(60_001), undefined);
  assert.equal(outbox.counts.get("command:result")?.dropped, 1);
});

Deno.test("Outbox holds 8 MiB of outputs at most, whether they wait or may still be lost", () => {
  const outbox = new Outbox();
  const add = (number: number) =>
    outbox.add("command:result", { number, stdout: "x".repeat(1024 * 1024) }, 0);
  for (let number = 0; number < 20; number++) add(number);
  assert.equal(outbox.held, 8);
  assert.equal(outbox.take(0)?.payload["number"], 12);
  for (let number = 20; number < 40; number++) {
    add(number);
    outbox.take(0);
  }
  assert.equal(outbox.held, 15);
  outbox.ended({ isClean: false }, 0);
  assert.equal(outbox.held, 8);
  assert.equal(outbox.take(0)?.payload["number"], 32);
});

Deno.test("Outbox sends again, in order, what no later heartbeat has confirmed", () => {
  const outbox = new Outbox();
  for (const name of ["a", "b", "c"]) outbox.add("event", { name }, 0);
  outbox.take(0);
  outbox.mark();
  outbox.take(0);
  outbox.acknowledged();
  outbox.ended({ isClean: false }, 0);
  assert.deepEqual([outbox.take(0), outbox.take(0), outbox.take(0)].map((one) => one?.payload), [
    { name: "b" },
    { name: "c" },
    undefined,
  ]);
});

Deno.test("Outbox takes all that was sent as arrived after a clean end", () => {
  const outbox = new Outbox();
  let settled = 0;
  outbox.sent({ type: "llm_usage:batch", payload: {}, at: 0, onSettled: () => settled++ });
  outbox.ended({ isClean: true }, 0);
  assert.equal(settled, 1);
  assert.equal(outbox.held, 0);
});

Deno.test("Outbox does not keep what only one link can take", () => {
  const outbox = new Outbox();
  outbox.sent({ type: "terminal:output", payload: {}, at: 0 });
  outbox.ended({ isClean: false }, 0);
  assert.equal(outbox.held, 0);
});

Deno.test("DecorrelatedBackoff stays between the first delay and the longest, and starts over", () => {
  const pace = { firstMs: 1_000, maxMs: 60_000 };
  const backoff = new DecorrelatedBackoff(() => 0.5);
  const delays = Array.from({ length: 20 }, () => backoff.next(pace));
  assert.ok(delays.every((ms) => ms >= 1_000 && ms <= 60_000));
  assert.equal(delays[0], 2_000);
  assert.ok(new Set(delays.slice(0, 6)).size === 6);
  backoff.reset();
  assert.equal(backoff.next(pace), 2_000);
  assert.equal(backoff.next({ firstMs: 0, maxMs: 0 }), 0);
});
