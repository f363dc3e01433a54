/**
 * Gryt jobs by their numbers at the main API.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { RunnerServices } from "@lib/api/feature.ts";

/** Finds the latest job of a number, as it stands in a path; `undefined` if there is none. */
export function findGrytJob(
  ports: Pick<RunnerServices, "store">,
  gryt: GrytService,
  text: string,
): Job | undefined {
  const number = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN;
  // A longer one would be rounded to a job of somebody else.
  if (!Number.isSafeInteger(number)) return undefined;
  const id = gryt.ledger.latest(number);
  return id === undefined ? undefined : ports.store.get(id);
}

/** Cancels a job; one that has ended stays as it is. */
export function cancelGrytJob(
  ports: Pick<RunnerServices, "store" | "clock">,
  job: Job,
  by: string,
): void {
  const result = ports.store.apply(job.id, {
    kind: "cancel_requested",
    cancel: { reason: "cancelled", by },
    at: ports.clock.now(),
  });
  if (result.kind === "refused") throw new CicdError(result.code, result.message);
}
