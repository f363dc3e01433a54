import assert from "node:assert/strict";
import { pause, RunnerBench } from "../support/runner_process.ts";

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { key: string; value: Record<string, string> }[];
  readonly status: { readonly code: number };
}

const PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

Deno.test("a job's life arrives at a collector as one trace, in order, and the job is in it", async () => {
  await using collector = startCollector();
  await using bench = new RunnerBench({ config: `telemetry: { traces: "${collector.url}" }` });
  await bench.start();
  const { body: job } = await bench.json("POST", "/v1/jobs", {
    body: {
      project: "web",
      script: 'echo "$TRACEPARENT"; exit 3',
      files: { a: "b" },
    },
    headers: { traceparent: PARENT },
  });
  await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=60s`);
  const spans = await collector.until((all) => all.some(({ name }) => name === "RUN web"));
  const named = (name: string) => {
    const found = spans.find((span) => span.name === name);
    assert(found, name);
    return found;
  };
  const root = named("RUN web");
  assert.equal(root.parentSpanId, "00f067aa0ba902b7");
  assert(spans.every(({ traceId }) => traceId === "4bf92f3577b34da6a3ce929d0e0e4736"));
  assert.equal(named("queued").parentSpanId, root.spanId);
  const attempt = named("attempt 1");
  assert.equal(attempt.parentSpanId, root.spanId);
  const steps = ["queued", "claimed", "setup", "run", "settle"].map(named);
  steps.slice(1).forEach((step, index) => {
    assert.equal(step.parentSpanId, attempt.spanId);
    assert.equal(step.startTimeUnixNano, steps[index]?.endTimeUnixNano, step.name);
  });
  const run = named("run");
  const values = Object.fromEntries(
    run.attributes.map(({ key, value }) => [key, Object.values(value)[0]]),
  );
  assert.equal(values["cicd.pipeline.name"], "web");
  assert.equal(values["cicd.pipeline.run.id"], job.id);
  assert.equal(values["cicd.pipeline.task.run.result"], "failure");
  assert.equal(values["process.exit.code"], "3");
  assert.equal(run.status.code, 2);
  const log = await (await bench.ask("GET", `/v1/jobs/${job.id}/logs`)).text();
  assert.match(log, new RegExp(`^00-${run.traceId}-${run.spanId}-01$`, "m"));
  assert.match(
    await (await bench.ask("GET", "/metrics")).text(),
    new RegExp(`^cicd_trace_spans_sent_total ${spans.length}$`, "m"),
  );
});

Deno.test("a collector that is away or never answers delays no job, and the loss is counted", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${silent.addr.port}`;
  await using bench = new RunnerBench({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: url } });
  await bench.start();
  for (let count = 0; count < 3; count++) {
    const job = await bench.runJob({ project: "web", script: 'test -n "$TRACEPARENT"' });
    assert.equal(job.state, "succeeded");
  }
  const stopped = await bench.kill("SIGTERM");
  assert.equal(stopped.code, 0, stopped.stderr);
});

Deno.test("without a collector the job gets the caller's context as it is, and nothing else", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const script = 'test "${TRACEPARENT-none}" = "$WANTED"';
  const run = async (wanted: string, more: Record<string, unknown>) =>
    (await bench.runJob({ project: "web", script, env: { WANTED: wanted }, ...more })).state;
  assert.equal(await run("none", {}), "succeeded");
  assert.equal(await run(PARENT, { traceparent: PARENT }), "succeeded");
  const { status, body } = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script, traceparent: "00-0-0-01" },
  });
  assert.equal(status, 422);
  assert.equal(body.errors[0].path, "traceparent");
  // A header is not the caller's alone: one that is damaged is no reason to refuse.
  const headers = { traceparent: "garbage" };
  const accepted = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script: "true" },
    headers,
  });
  assert.equal(accepted.status, 201);
  assert.equal(accepted.body.spec.traceparent, undefined);
});

Deno.test("submit goes on the trace in its environment, unless a flag names another", async () => {
  await using bench = new RunnerBench({ env: { TRACEPARENT: PARENT } });
  await bench.start();
  const traceOf = async (...flags: readonly string[]) => {
    const { code, stdout, stderr } = await bench.cli(["submit", ...flags, "--json", "--", "true"]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).spec.traceparent;
  };
  assert.equal(await traceOf(), PARENT);
  const other = PARENT.replace(/-01$/, "-00");
  assert.equal(await traceOf("--traceparent", other), other);
});

/** A collector that speaks OTLP over HTTP with JSON, as strictly as the specification. */
function startCollector() {
  const spans: Span[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    assert.equal(`${request.method} ${pathname}`, "POST /v1/traces");
    assert.equal(request.headers.get("content-type"), "application/json");
    const { resourceSpans } = await request.json();
    for (const { resource, scopeSpans } of resourceSpans) {
      const names = resource.attributes.map(({ key }: { key: string }) => key);
      assert(names.includes("service.name"));
      for (const scope of scopeSpans) {
        for (const span of scope.spans) {
          assert.match(span.traceId, /^[0-9a-f]{32}$/);
          assert.match(span.spanId, /^[0-9a-f]{16}$/);
          assert.match(span.startTimeUnixNano, /^\d{19}$/);
          assert(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano));
          spans.push(span);
        }
      }
    }
    return Response.json({ partialSuccess: {} });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    async until(seen: (spans: readonly Span[]) => boolean): Promise<readonly Span[]> {
      const deadline = AbortSignal.timeout(30_000);
      while (!seen(spans)) {
        deadline.throwIfAborted();
        await pause(50);
      }
      return spans;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
