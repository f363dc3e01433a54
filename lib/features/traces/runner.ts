/**
 * Traces in the runner: notes the times of attempts, and sends their spans when they have ended.
 *
 * Off unless a collector is configured; then a change of a job costs a note in memory, and everything
 * else happens later, in the background.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";
import type { JobId } from "@lib/core/ids.ts";
import { parseTraceparent } from "@lib/core/trace_context.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { VERSION } from "@lib/core/version.ts";
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { attemptSpans } from "@lib/features/traces/job_spans.ts";
import { deliverTo } from "@lib/features/traces/collector.ts";
import { resourceIn } from "@lib/features/traces/collector_variables.ts";
import { collectorAddress } from "@lib/features/traces/keys.ts";
import { SpanExporter } from "@lib/features/traces/span_exporter.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import type { Metric } from "@lib/foundations/metrics/metric.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { Job } from "@lib/spine/jobs/model.ts";

/** Spans of one moment go together. */
const GATHER_MS = 500;
/** Time that a runner which stops gives to what is not sent yet. */
const LAST_FLUSH_MS = 2_000;
/** The most notes in memory, of attempts under way and of ended ones. */
const MAX_NOTES = 8_192;

interface Ended {
  readonly id: JobId;
  readonly number: number;
  readonly claimedAt: number | undefined;
  readonly settledAt: number;
}

/** Makes the part. */
export function part(services: RunnerServices): RunnerPart {
  const { events, config, clock, tasks } = services;
  const address = () => collectorAddress(config(), services.env);
  const exporter = new SpanExporter({
    deliver: deliverTo(address, services.env),
    resource: resourceIn(services.env, VERSION, Deno.hostname()),
    clock,
    log: services.log,
  });
  const claims = new Map<JobId, number>();
  const ended: Ended[] = [];
  let isSending = false;
  const note = (job: Job, before: Job | undefined) => {
    if (before === undefined || address() === undefined) return;
    if (before.state === "queued" && job.state === "starting") {
      if (claims.size < MAX_NOTES) claims.set(job.id, clock.now());
    } else if (isUnderWay(before) && !isUnderWay(job)) {
      const claimedAt = claims.get(job.id);
      claims.delete(job.id);
      if (ended.length >= MAX_NOTES) return exporter.drop(1);
      ended.push({ id: job.id, number: before.attempt, claimedAt, settledAt: clock.now() });
      if (!isSending) tasks.spawn("traces", send);
    }
  };
  const collect = () => {
    for (const one of ended.splice(0)) exporter.add(spansOf(services, one));
  };
  const send = async (signal: AbortSignal) => {
    isSending = true;
    try {
      while (ended.length > 0) {
        await clock.sleep(GATHER_MS, { signal });
        collect();
        await exporter.flush(signal);
      }
    } finally {
      isSending = false;
    }
  };
  const listening = events.listen(note);
  return {
    metrics: () => address() === undefined ? [] : traceMetrics(exporter.counts),
    hasWork: () => isSending,
    async answered(signal) {
      collect();
      if (exporter.counts.waiting === 0) return false;
      using deadline = withDeadline(signal, LAST_FLUSH_MS, "the collector of traces");
      await exporter.flush(deadline).catch(ignore("the runner stops; the rest is dropped"));
      return false;
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

function isUnderWay({ state }: Job): boolean {
  return state === "starting" || state === "running";
}

function spansOf({ store, config }: RunnerServices, { id, number, ...times }: Ended) {
  const job = store.get(id);
  if (job === undefined) return [];
  const { traceparent, project } = job.spec;
  // The caller has chosen not to record this trace.
  if (traceparent !== undefined && parseTraceparent(traceparent)?.isSampled === false) return [];
  const attempts = store.attempts(id);
  const outcome = attempts.find((each) => each.number === number)?.outcome;
  if (outcome === undefined) return [];
  const { stateDir } = config().of(PROGRAM);
  const { attemptFile } = attemptDirectory(stateDir, { project, jobId: id, number });
  const previous = attempts.find((each) => each.number === number - 1)?.outcome;
  return attemptSpans(job, {
    number,
    outcome,
    queuedAt: previous?.finishedAt ?? job.createdAt,
    acceptedAt: modifiedAt(attemptFile),
    ...times,
  });
}

/** The agent writes the file when it takes an attempt, and never again. */
function modifiedAt(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).mtime?.getTime();
  } catch {
    // Retention, or a job, was faster: the span begins with the next one.
    return undefined;
  }
}

function traceMetrics({ sent, dropped, waiting }: SpanExporter["counts"]): readonly Metric[] {
  const of = (type: Metric["type"], name: string, help: string, value: number): Metric => ({
    name: `cicd_trace_spans_${name}`,
    help,
    type,
    samples: [{ value }],
  });
  return [
    of("counter", "sent", "Spans that the collector has taken", sent),
    of("counter", "dropped", "Spans that could not be delivered, or did not fit", dropped),
    of("gauge", "waiting", "Spans that wait for the collector", waiting),
  ];
}
