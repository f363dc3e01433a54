import assert from "node:assert/strict";
import { jobTraceparent, parseTraceparent, spanIdOf } from "@lib/core/trace_context.ts";
import { attemptSpans, type Span } from "@lib/features/traces/job_spans.ts";
import { headersIn, resourceIn, tracesUrl } from "@lib/features/traces/collector_variables.ts";
import { type Delivery, SpanExporter } from "@lib/features/traces/span_exporter.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { makeJob, makeOutcome, makeSpec } from "../../../support/job_fixtures.ts";
import { silentLogger } from "../../../support/silent_logger.ts";

const PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED = PARENT.replace(/01$/, "00");

Deno.test("parseTraceparent() reads what the standard allows, and nothing else", () => {
  assert.equal(parseTraceparent(PARENT)?.spanId, "00f067aa0ba902b7");
  assert.equal(parseTraceparent(UNSAMPLED)?.isSampled, false);
  assert.equal(parseTraceparent(PARENT.replace(/^00/, "cc"))?.isSampled, true);
  for (
    const text of [
      "",
      PARENT.toUpperCase(),
      PARENT.replace(/^00/, "ff"),
      `${PARENT}\n`,
      `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
      `00-4bf92f3577b34da6a3ce929d0e0e4736-${"0".repeat(16)}-01`,
    ]
  ) assert.equal(parseTraceparent(text), undefined, text);
});

Deno.test("jobTraceparent() gives the job the span of its run, or what the caller gave", () => {
  const { id } = makeJob();
  const ref = { jobId: id, number: 2 };
  assert.equal(jobTraceparent(ref, undefined, false), undefined);
  assert.equal(jobTraceparent(ref, PARENT, false), PARENT);
  assert.equal(jobTraceparent(ref, UNSAMPLED, true), UNSAMPLED);
  const run = spanIdOf(id, 2, "run");
  assert.equal(
    jobTraceparent(ref, PARENT, true),
    `00-4bf92f3577b34da6a3ce929d0e0e4736-${run}-01`,
  );
  assert.equal(jobTraceparent(ref, undefined, true), `00-${id.replaceAll("-", "")}-${run}-01`);
  assert.notEqual(run, spanIdOf(id, 1, "run"));
});

Deno.test("attemptSpans() has no span that ends before it begins, whatever the clocks say", () => {
  const job = makeJob({ state: "failed", attempt: 1, createdAt: 5_000 });
  const outcome = makeOutcome({ state: "failed", startedAt: 4_000, finishedAt: 3_000 });
  const times = { number: 1, outcome, queuedAt: 5_000, acceptedAt: 1, settledAt: 2_000 };
  for (const claimedAt of [undefined, 4_500]) {
    const spans = attemptSpans(job, { ...times, claimedAt });
    assert.deepEqual(spans.map(({ name }) => name), [
      "RUN web",
      "queued",
      "attempt 1",
      "claimed",
      "setup",
      "run",
      "settle",
    ]);
    for (const { name, startTimeUnixNano, endTimeUnixNano } of spans) {
      assert(BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano), name);
    }
  }
});

Deno.test("attemptSpans() ends the job's span with its last attempt only, and hides passwords", () => {
  const git = makeSpec({
    git: {
      url: "https://bot:s@cret@example.org/a.git",
      ref: "main",
      depth: 1,
      submodules: false,
      lfs: false,
      path: ".",
    },
  });
  const job = makeJob({ spec: git, state: "queued", attempt: 1 });
  const times = {
    number: 1,
    outcome: makeOutcome({ state: "lost", reason: "agent_lost" }),
    queuedAt: 0,
    claimedAt: 10,
    acceptedAt: undefined,
    settledAt: 2_000,
  };
  const spans = attemptSpans(job, times);
  assert.deepEqual(spans.map(({ name }) => name), [
    "queued",
    "attempt 1",
    "claimed",
    "setup",
    "settle",
  ]);
  const text = JSON.stringify(spans);
  assert(text.includes("https://example.org/a.git") && !text.includes("cret@"));
  assert.equal(spans[1]?.status.code, 2);
});

function setup(answers: readonly Delivery[]) {
  const bodies: string[] = [];
  const clock = new FakeClock();
  const exporter = new SpanExporter({
    deliver(body) {
      bodies.push(body);
      return Promise.resolve(answers[bodies.length - 1] ?? "delivered");
    },
    resource: { "service.name": "test" },
    clock,
    log: silentLogger,
  });
  return { bodies, clock, exporter };
}

const SPANS = (count: number): readonly Span[] =>
  Array.from({ length: count }, (_, index) => ({
    traceId: "1",
    spanId: String(index),
    name: "run",
    kind: 1,
    startTimeUnixNano: "0",
    endTimeUnixNano: "1",
    attributes: [],
    status: { code: 1 },
  }));

const { signal } = new AbortController();

Deno.test("SpanExporter sends in batches, and drops what does not fit", async () => {
  const t = setup([]);
  t.exporter.add(SPANS(5_000));
  assert.deepEqual(t.exporter.counts, { sent: 0, dropped: 904, waiting: 4_096 });
  await t.exporter.flush(signal);
  assert.equal(t.bodies.length, 8);
  assert.deepEqual(t.exporter.counts, { sent: 4_096, dropped: 904, waiting: 0 });
});

Deno.test("SpanExporter tries again what may pass, not what is refused", async () => {
  const t = setup(["later", "delivered", "refused"]);
  t.exporter.add(SPANS(1));
  const flushed = t.exporter.flush(signal);
  await t.clock.tick(1_000);
  await flushed;
  assert.equal(t.bodies.length, 2);
  t.exporter.add(SPANS(2));
  await t.exporter.flush(signal);
  assert.deepEqual(t.exporter.counts, { sent: 1, dropped: 2, waiting: 0 });
});

Deno.test("SpanExporter gives up after five tries, and stops at once when it is to end", async () => {
  const t = setup(Array(9).fill("later"));
  t.exporter.add(SPANS(1));
  const flushed = t.exporter.flush(signal);
  for (let tries = 0; tries < 4; tries++) await t.clock.tick(16_000);
  await flushed;
  assert.deepEqual(t.exporter.counts, { sent: 0, dropped: 1, waiting: 0 });
  const stop = new AbortController();
  t.exporter.add(SPANS(1));
  const stopped = t.exporter.flush(stop.signal);
  stop.abort(new Error("the runner stops"));
  await assert.rejects(stopped, /the runner stops/);
});

Deno.test("SpanExporter sends each span once, though two deliveries are under way", async () => {
  const t = setup(["later", "delivered", "delivered"]);
  t.exporter.add(SPANS(1));
  const first = t.exporter.flush(signal);
  t.exporter.add(SPANS(2));
  await t.exporter.flush(signal);
  assert.deepEqual(t.exporter.counts, { sent: 2, dropped: 0, waiting: 1 });
  await t.clock.tick(1_000);
  await first;
  assert.deepEqual(t.exporter.counts, { sent: 3, dropped: 0, waiting: 0 });
});

Deno.test("SpanExporter keeps what it could not send when it was to end", async () => {
  const t = setup(["later", "delivered"]);
  t.exporter.add(SPANS(2));
  const stop = new AbortController();
  const stopped = t.exporter.flush(stop.signal);
  stop.abort(new Error("the runner stops"));
  await assert.rejects(stopped, /the runner stops/);
  assert.deepEqual(t.exporter.counts, { sent: 0, dropped: 0, waiting: 2 });
  await t.exporter.flush(signal);
  assert.deepEqual(t.exporter.counts, { sent: 2, dropped: 0, waiting: 0 });
});

Deno.test("the collector's variables are read as OpenTelemetry defines them", () => {
  assert.equal(tracesUrl("http://a:4318"), "http://a:4318/v1/traces");
  assert.equal(tracesUrl("https://a/otlp/v1/traces"), "https://a/otlp/v1/traces");
  const env = {
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x, a b=c,=d,x-y=%zz,n=a%0Ab",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=prod,service.name=no",
    OTEL_SERVICE_NAME: "ci",
  };
  assert.deepEqual(headersIn(env), { authorization: "Bearer x", "x-y": "%zz" });
  assert.deepEqual(resourceIn(env, "1", "box"), {
    "host.name": "box",
    "service.version": "1",
    "deployment.environment": "prod",
    "service.name": "ci",
  });
});
