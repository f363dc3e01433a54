import assert from "node:assert/strict";
import { keepLeases, pullJobs, type PullOptions } from "@lib/features/gryt/pull.ts";
import type { OutgoingRequest, OutgoingResult } from "@lib/features/gryt/outgoing.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { RecordingLogger } from "../../../support/recording_logger.ts";
import { answered, bodyOf, fakeNetwork, makeSettings, openLedger } from "./_fakes.ts";

const job = { job_id: "12", pipeline_b64: "eA==", lease_seconds: 30 };

function setup(
  answer: (request: OutgoingRequest, count: number) => OutgoingResult,
  changes: Partial<PullOptions> = {},
) {
  const clock = new FakeClock();
  const log = new RecordingLogger();
  const network = fakeNetwork(answer);
  const stop = new AbortController();
  const accepted: { readonly id: number; readonly leaseMs: number; readonly url: string }[] = [];
  const cancelled: string[] = [];
  const options: PullOptions = {
    settings: () => makeSettings({ pullUrl: "https://main.example.org/api" }),
    agent: "a1",
    room: () => Promise.resolve(2),
    accept(request, { leaseMs, resultUrl }) {
      accepted.push({ id: request.jobId, leaseMs, url: resultUrl });
      return undefined;
    },
    leased: () => [],
    cancel: (id) => void cancelled.push(id),
    send: network.send,
    clock,
    log,
    ...changes,
  };
  const running: Promise<void>[] = [];
  return {
    ...network,
    clock,
    log,
    accepted,
    cancelled,
    run: (loop: typeof pullJobs) => void running.push(loop(options, stop.signal)),
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException("over", "AbortError"));
      await Promise.allSettled(running);
    },
  };
}

Deno.test("pullJobs() claims a job with the key and stores it before it asks again", async () => {
  await using t = setup((_, count) => count === 1 ? answered(200, job) : answered(204));
  t.run(pullJobs);
  await t.clock.tick(0);
  const [first] = t.sent;
  assert(first !== undefined);
  assert.equal(first.url.href, "https://main.example.org/api/agents/claim");
  assert.equal(first.headers["x-api-key"], "the-key");
  assert.deepEqual(JSON.parse(bodyOf(first)), { agent: "a1", capacity: 2 });
  assert.deepEqual(t.accepted, [
    { id: 12, leaseMs: 30_000, url: "https://main.example.org/api/jobs/12/result" },
  ]);
});

Deno.test("pullJobs() asks for no more jobs than there is room for", async () => {
  let room = 0;
  await using t = setup(() => answered(204), { room: () => Promise.resolve(room) });
  t.run(pullJobs);
  await t.clock.tick(5_000);
  assert.equal(t.sent.length, 0);
  room = 1;
  await t.clock.tick(1_000);
  assert.equal(JSON.parse(bodyOf(t.sent[0] ?? assert.fail())).capacity, 1);
});

Deno.test("pullJobs() waits longer and longer while the main API is away, and says so once", async () => {
  await using t = setup(() => ({ kind: "unreachable", why: "refused" }));
  t.run(pullJobs);
  await t.clock.tick(600_000);
  assert(t.sent.length > 8 && t.sent.length < 25, `${t.sent.length} tries in ten minutes`);
  assert.equal(t.log.messages.length, 1);
});

Deno.test("pullJobs() does not hammer a main API that answers at once without a job", async () => {
  await using t = setup(() => answered(204));
  t.run(pullJobs);
  await t.clock.tick(10_000);
  assert(t.sent.length <= 11, `${t.sent.length} claims in ten seconds`);
});

Deno.test("pullJobs() reports a job that cannot begin to the main API, with a few tries", async () => {
  await using t = setup(
    ({ url }, count) =>
      url.pathname.endsWith("/claim")
        ? (count === 1 ? answered(200, job) : answered(204))
        : answered(count === 2 ? 502 : 200),
    { accept: () => ({ job_id: 12, success: false }) },
  );
  t.run(pullJobs);
  await t.clock.tick(2_000);
  const told = t.sent.filter(({ url }) => url.pathname === "/api/jobs/12/result");
  assert.equal(told.length, 2);
  assert.deepEqual(JSON.parse(bodyOf(told[1] ?? assert.fail())), { job_id: 12, success: false });
});

Deno.test("pullJobs() asks less often while the main API does not take a result, and says so once", async () => {
  await using t = setup(
    ({ url }) => url.pathname.endsWith("/claim") ? answered(200, job) : answered(404),
    { accept: () => ({ job_id: 12, success: false }) },
  );
  t.run(pullJobs);
  await t.clock.tick(60_000);
  assert(t.sent.length < 30, `${t.sent.length} requests in a minute`);
  assert.equal(t.log.messages.length, 1);
});

Deno.test("pullJobs() goes on after a job that cannot be read or stored", async () => {
  await using t = setup(
    (_, count) => answered(200, count === 1 ? { job_id: 1 } : job),
    {
      accept() {
        throw new Error("disk");
      },
    },
  );
  t.run(pullJobs);
  await t.clock.tick(120_000);
  assert(t.sent.length > 3);
});

Deno.test("keepLeases() renews three times in a lease and cancels what was taken back", async () => {
  using ledger = openLedger();
  const id = ledger.addGryt(12, { leaseMs: 30_000 });
  let status = 204;
  await using t = setup(() => answered(status), { leased: () => ledger.ledger.leased() });
  t.run(keepLeases);
  await t.clock.tick(29_500);
  assert.equal(t.sent.length, 3);
  assert.equal(t.sent[0]?.url.href, "https://main.example.org/api/jobs/12/heartbeat");
  assert.deepEqual(t.cancelled, []);
  status = 409;
  await t.clock.tick(1_000);
  assert.deepEqual(t.cancelled, [id]);
});
