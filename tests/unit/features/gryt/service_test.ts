import assert from "node:assert/strict";
import { WaitingAnswers } from "@lib/features/gryt/service.ts";

Deno.test("given() resolves when the last answer is given, and at once while there is none", async () => {
  const waiting = new WaitingAnswers();
  const { signal } = new AbortController();
  await waiting.given(signal);
  const first = waiting.begin();
  const second = waiting.begin();
  const order: string[] = [];
  const given = waiting.given(signal).then(() => order.push("given"));
  first[Symbol.dispose]();
  await Promise.resolve();
  order.push("one is left");
  second[Symbol.dispose]();
  await given;
  assert.deepEqual(order, ["one is left", "given"]);
});

Deno.test("given() rejects with the signal's reason", async () => {
  const waiting = new WaitingAnswers();
  using _answer = waiting.begin();
  const reason = new Error("too late");
  await assert.rejects(waiting.given(AbortSignal.abort(reason)), reason);
});
