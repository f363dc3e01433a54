/**
 * Gryt jobs in the queue: makes them of requests, finds, cancels and answers them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { RunnerServices } from "@lib/api/feature.ts";
import { LOCAL_CALLER } from "@lib/core/caller.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { JobId } from "@lib/core/ids.ts";
import { answerOf, failedAnswer, inGrytTerms } from "@lib/features/gryt/answer.ts";
import { checkCallback } from "@lib/features/gryt/callback_target.ts";
import { toJobBody } from "@lib/features/gryt/job_spec.ts";
import { collectOutput } from "@lib/features/gryt/output.ts";
import type { GrytRequest } from "@lib/features/gryt/request.ts";
import type { GrytAnswer } from "@lib/features/gryt/schemas.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";

/** Bytes at the end of stdout that are searched for the results. */
const RESULTS_MAX_BYTES = 8 * 1024 * 1024;
/** Bytes at the end of stderr that are searched for why a pipeline did not run. */
const COMPLAINT_MAX_BYTES = 64 * 1024;

/** The result of {@linkcode takeGrytJob}. */
export type GrytTaken =
  | { readonly kind: "taken"; readonly job: Job }
  /** It cannot start, for a reason that its owner can fix. */
  | { readonly kind: "failed"; readonly answer: GrytAnswer };

/** The lease of a pulled job, and where its result goes. */
export interface PulledFrom {
  readonly leaseMs: number;
  readonly resultUrl: string;
}

/**
 * Stores the job of a request, with its deliveries; both are on disk when this returns.
 *
 * A request whose number has an open job, or that was sent before with the same body, gets that job.
 *
 * @throws {CicdError} `queue_full`, `draining`, `disk_full`, `io_failed`; nothing was stored.
 */
export function takeGrytJob(
  ports: RunnerServices,
  gryt: GrytService,
  { request, pulled }: { readonly request: GrytRequest; readonly pulled?: PulledFrom },
): GrytTaken {
  const { jobId: grytId } = request;
  // A main API that sends a job again does not have its result, even if it was delivered once.
  const taken = (job: Job): GrytTaken => {
    if (pulled !== undefined) {
      gryt.outbox.add({ jobId: job.id, url: pulled.resultUrl, kind: "result" });
    }
    return { kind: "taken", job };
  };
  const open = gryt.ledger.open(grytId);
  if (open !== undefined) return taken(ports.store.require(open));
  const startedAt = ports.clock.now();
  const fail = (message: string): GrytTaken => ({
    kind: "failed",
    answer: failedAnswer(grytId, message, { startedAt, completedAt: ports.clock.now() }),
  });
  const made = toJobBody(request, gryt.settings());
  if (made.kind === "failed") return fail(made.message);
  const callback = callbackOf(ports, gryt, request);
  const digest = createHash("sha256").update(JSON.stringify(made.body)).digest("hex");
  try {
    const submitted = ports.submit(made.body, {
      caller: LOCAL_CALLER,
      idempotencyKey: `gryt:${grytId}:${digest}`,
      also(jobId) {
        gryt.ledger.record({ jobId, grytId, ...(pulled && { leaseMs: pulled.leaseMs }) });
        if (callback !== undefined) gryt.outbox.add({ jobId, url: callback, kind: "callback" });
        if (pulled !== undefined && pulled.resultUrl !== callback) {
          gryt.outbox.add({ jobId, url: pulled.resultUrl, kind: "result" });
        }
      },
    });
    return submitted.kind === "replayed"
      ? taken(submitted.job)
      : { kind: "taken", job: submitted.job };
  } catch (error) {
    if (error instanceof CicdError && error.code === "invalid_request") {
      return fail(inGrytTerms(error.message));
    }
    throw error;
  }
}

/** Leaves out a callback that is not allowed: the answer still has the result. */
function callbackOf(
  ports: RunnerServices,
  gryt: GrytService,
  { jobId, callbackUrl }: GrytRequest,
): string | undefined {
  if (callbackUrl === undefined || callbackUrl.trim() === "") return undefined;
  const target = checkCallback(callbackUrl.trim(), gryt.settings().callbacks);
  if (target.kind === "allowed") return target.url.href;
  ports.log.warning("A callback_url is not called", { grytJobId: jobId, why: target.why });
  return undefined;
}

/** Finds the latest job of a number in a path; `undefined` if there is none. */
export function findGrytJob(
  ports: RunnerServices,
  gryt: GrytService,
  text: string,
): Job | undefined {
  const number = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN;
  // A longer number would be rounded to that of another job.
  if (!Number.isSafeInteger(number)) return undefined;
  const id = gryt.ledger.latest(number);
  return id === undefined ? undefined : ports.store.get(id);
}

/** Cancels a job for the main API; an ended job stays as it is. */
export function cancelGrytJob({ store, clock }: RunnerServices, id: JobId): void {
  const result = store.apply(id, {
    kind: "cancel_requested",
    cancel: { reason: "cancelled", by: "by the main API" },
    at: clock.now(),
  });
  if (result.kind === "refused") throw new CicdError(result.code, result.message);
}

interface AnswerOptions {
  readonly job: Job;
  readonly grytId: number;
  readonly signal: AbortSignal;
}

/**
 * Waits until a job has ended and returns its answer; the job goes on without a waiting client.
 *
 * @throws The signal's reason when `signal` aborts.
 */
export async function waitForAnswer(
  ports: RunnerServices,
  gryt: GrytService,
  { job: { id }, grytId, signal }: AnswerOptions,
): Promise<GrytAnswer> {
  const job = await ports.events.waitFor(id, {
    read: () => ports.store.require(id),
    isWanted: ({ state }) => isTerminal(state),
    signal,
  });
  return await answerEnded(ports, gryt, { job, grytId, signal });
}

/** Returns the answer of a job that has ended, and records its verdict. */
export async function answerEnded(
  ports: RunnerServices,
  gryt: GrytService,
  { job, grytId, signal }: AnswerOptions,
): Promise<GrytAnswer> {
  const { maxOutputBytes: maxBytes } = gryt.settings();
  const read = async (stream: "stdout" | "stderr", tailBytes: number) => {
    const reading = ports.logs.read(job, {
      from: 0,
      stream,
      timestamps: false,
      follow: false,
      signal,
    });
    let bytes = 0;
    const counted = async function* () {
      for await (const chunk of reading) {
        bytes += chunk.length;
        yield chunk;
      }
    };
    const output = await collectOutput(counted(), { maxBytes, tailBytes });
    // Only the note about a log that was cut has no place in it.
    return bytes > reading.offset ? { ...output, tailIsWhole: false } : output;
  };
  const answer = answerOf(grytId, job, {
    stdout: await read("stdout", RESULTS_MAX_BYTES),
    stderr: await read("stderr", COMPLAINT_MAX_BYTES),
  });
  gryt.ledger.settle(job, { success: answer.success, seconds: answer.duration_seconds });
  return answer;
}
