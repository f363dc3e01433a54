/**
 * From a Gryt request to a durable job.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { LOCAL_CALLER } from "@lib/core/caller.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { JobId } from "@lib/core/ids.ts";
import { failedAnswer, type GrytAnswer } from "@lib/features/gryt/answer.ts";
import { checkCallback } from "@lib/features/gryt/callback_target.ts";
import { toJobBody } from "@lib/features/gryt/job_spec.ts";
import type { GrytRequest } from "@lib/features/gryt/request.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { RunnerServices } from "@lib/api/feature.ts";

/** What came of a request. */
export type GrytTaken =
  | { readonly kind: "taken"; readonly job: Job }
  /** It cannot begin, for a reason that its owner can mend. */
  | { readonly kind: "failed"; readonly answer: GrytAnswer };

/** What is owed for a job that was pulled. */
export interface PulledFrom {
  readonly leaseMs: number;
  readonly resultUrl: string;
}

/**
 * Stores the job of a request; when this returns, it is on disk, with what is owed for it.
 *
 * A number whose job is open names that job, and so does a number with the same body as before.
 *
 * @throws {CicdError} `queue_full`, `draining`, `disk_full`, `io_failed`; nothing was stored.
 */
export function takeGrytJob(
  ports: RunnerServices,
  gryt: GrytService,
  { request, pulled }: { readonly request: GrytRequest; readonly pulled?: PulledFrom },
): GrytTaken {
  // Who gives a job again has not had its result, even if it was delivered once.
  const taken = (job: Job): GrytTaken => {
    if (pulled !== undefined) {
      gryt.outbox.add({ jobId: job.id, url: pulled.resultUrl, kind: "result" });
    }
    return { kind: "taken", job };
  };
  const open = gryt.ledger.open(request.jobId);
  if (open !== undefined) return taken(ports.store.require(open));
  const startedAt = ports.clock.now();
  const fail = (message: string): GrytTaken => ({
    kind: "failed",
    answer: failedAnswer(request.jobId, message, { startedAt, completedAt: ports.clock.now() }),
  });
  const made = toJobBody(request, gryt.settings());
  if (made.kind === "failed") return fail(made.message);
  const callback = callbackOf(ports, gryt, request);
  try {
    const key = `gryt:${request.jobId}:${digestOf(made.body)}`;
    const also = (jobId: JobId) => {
      const leaseMs = pulled?.leaseMs;
      gryt.ledger.record({
        jobId,
        grytId: request.jobId,
        ...(leaseMs === undefined ? {} : { leaseMs }),
      });
      if (callback !== undefined) gryt.outbox.add({ jobId, url: callback, kind: "callback" });
      if (pulled !== undefined && pulled.resultUrl !== callback) {
        gryt.outbox.add({ jobId, url: pulled.resultUrl, kind: "result" });
      }
    };
    const submitted = ports.submit(made.body, { caller: LOCAL_CALLER, idempotencyKey: key, also });
    return submitted.kind === "replayed"
      ? taken(submitted.job)
      : { kind: "taken", job: submitted.job };
  } catch (error) {
    if (error instanceof CicdError && error.code === "invalid_request") return fail(error.message);
    throw error;
  }
}

/** One that may not be called is left out: the answer itself still tells the result. */
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

function digestOf(body: unknown): string {
  return createHash("sha256").update(JSON.stringify(body)).digest("hex");
}
