/**
 * Gryt jobs by their numbers at the main API.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { GrytService } from "@lib/gryt/service.ts";
import type { Job } from "@lib/jobs/model.ts";
import type { ApiPorts } from "@lib/api/ports.ts";

/** Finds the latest job of a number, as it stands in a path; `undefined` if there is none. */
export function findGrytJob(
  ports: Pick<ApiPorts, "store">,
  gryt: GrytService,
  text: string,
): Job | undefined {
  if (!/^-?\d{1,15}$/.test(text)) return undefined;
  const id = gryt.ledger.latest(Number(text));
  return id === undefined ? undefined : ports.store.get(id);
}

/** Cancels a job; one that has ended stays as it is. */
export function cancelGrytJob(
  ports: Pick<ApiPorts, "store" | "clock">,
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
