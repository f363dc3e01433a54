import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { failedAnswer } from "@lib/features/gryt/answer.ts";
import { Outbox } from "@lib/features/gryt/outbox.ts";
import type { OutgoingResult } from "@lib/features/gryt/outgoing.ts";
import { publicAddressCheck } from "@lib/features/gryt/callback_target.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { RecordingLogger } from "../../../support/recording_logger.ts";
import { answered, bodyOf, fakeNetwork, makeSettings, openLedger } from "./_fakes.ts";

const HOUR_MS = 3_600_000;
const isPublic = await publicAddressCheck();

function setup(answer: (count: number) => OutgoingResult, callbacks: string[] = []) {
  const ledger = openLedger();
  const clock = new FakeClock(1_000);
  const log = new RecordingLogger();
  const network = fakeNetwork((_, count) => answer(count));
  const stop = new AbortController();
  const make = () =>
    new Outbox({
      store: ledger.outbox,
      settings: () => makeSettings({ callbacks }),
      answerOf: ({ grytId }) =>
        Promise.resolve(failedAnswer(grytId, "no", { startedAt: 0, completedAt: 1 })),
      send: network.send,
      publicAddressCheck: () => Promise.resolve(isPublic),
      clock,
      log,
      random: () => 0,
    });
  const runs: Promise<void>[] = [];
  const run = () => {
    const outbox = make();
    runs.push(outbox.run(stop.signal));
    return outbox;
  };
  return {
    ...ledger,
    ...network,
    clock,
    log,
    run,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(runs);
      ledger[Symbol.dispose]();
    },
  };
}

const callback = { url: "https://ci.example.org/hook?x=1", kind: "callback" } as const;

Deno.test("Outbox delivers a signed result after the end of the job, and once", async () => {
  await using t = setup(() => answered(204));
  const id = t.addGryt(7, { owed: callback });
  const outbox = t.run();
  await t.clock.tick(10);
  assert.equal(t.sent.length, 0);
  t.end(id);
  outbox.wake();
  await t.clock.tick(10);
  const [request] = t.sent;
  assert(request !== undefined);
  assert.equal(request.url.href, callback.url);
  assert.equal(JSON.parse(bodyOf(request)).job_id, 7);
  const hmac = createHmac("sha256", "the-key").update(bodyOf(request)).digest("hex");
  assert.equal(request.headers["x-signature-256"], `sha256=${hmac}`);
  assert.equal(request.headers["x-gryt-job-id"], "7");
  assert.equal(request.headers["idempotency-key"], id);
  assert.equal("x-api-key" in request.headers, false);
  await t.clock.tick(2 * HOUR_MS);
  assert.equal(t.sent.length, 1);
  assert.equal(t.outbox.pending(), 0);
});

Deno.test("Outbox tries again with growing waits, also in a later life", async () => {
  await using t = setup((count) => count < 4 ? answered(502) : answered(200));
  t.end(t.addGryt(7, { owed: callback }));
  t.run();
  await t.clock.tick(50);
  assert.equal(t.sent.length, 1);
  await t.clock.tick(1_000);
  assert.equal(t.sent.length, 2);
  await t.clock.tick(2_100);
  assert.equal(t.sent.length, 3);
  assert.equal(t.outbox.due(Infinity, 1)[0]?.tries, 3);
  await t.clock.tick(60_000);
  assert.equal(t.sent.length, 4);
  assert.equal(t.outbox.pending(), 0);
});

Deno.test("Outbox gives a delivery up after a day", async () => {
  await using t = setup(() => ({ kind: "unreachable", why: "refused" }));
  t.end(t.addGryt(7, { owed: callback }));
  t.run();
  await t.clock.tick(23 * HOUR_MS);
  assert.equal(t.outbox.pending(), 1);
  await t.clock.tick(3 * HOUR_MS);
  assert.equal(t.outbox.pending(), 0);
  assert.match(JSON.stringify(t.log.messages), /given up/);
});

Deno.test("Outbox does not follow a redirect and accepts 'gone' as an answer", async () => {
  await using t = setup((count) => answered(count === 1 ? 302 : 410));
  t.end(t.addGryt(7, { owed: callback }));
  t.run();
  await t.clock.tick(2_000);
  assert.equal(t.sent.length, 2);
  assert(t.sent.every(({ url }) => url.href === callback.url));
  assert.equal(t.outbox.pending(), 0);
});

Deno.test("Outbox lets only public addresses be called unless the configuration names others", async () => {
  await using open = setup(() => answered(200));
  open.end(open.addGryt(7, { owed: callback }));
  open.run();
  await open.clock.tick(10);
  assert.equal(open.sent[0]?.isAllowed?.("127.0.0.1"), false);
  await using named = setup(() => answered(200), ["https://ci.example.org/"]);
  named.end(named.addGryt(7, { owed: callback }));
  named.run();
  await named.clock.tick(10);
  assert.equal(named.sent[0]?.isAllowed, undefined);
  await using other = setup(() => answered(200), ["https://other.example.org/"]);
  other.end(other.addGryt(7, { owed: callback }));
  other.run();
  await other.clock.tick(10);
  assert.equal(other.sent.length, 0);
  assert.equal(other.outbox.pending(), 0);
});

Deno.test("Outbox gives the key itself only to the main API that a job was pulled from", async () => {
  await using t = setup(() => answered(200));
  t.end(t.addGryt(7, { owed: { url: "http://10.0.0.1/jobs/7/result", kind: "result" } }));
  t.run();
  await t.clock.tick(10);
  assert.equal(t.sent[0]?.headers["x-api-key"], "the-key");
  assert.equal(t.sent[0]?.isAllowed, undefined);
});
