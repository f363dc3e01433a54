/**
 * The knowledge of an attempt that is taken over, and the names of attempts.
 *
 * @module
 */
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptFound } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";

/** The outcome of an attempt that has ended when it is taken over. */
export interface Known {
  readonly outcome: AttemptOutcome;
  /** The job itself started. */
  readonly begun: boolean;
}

/** Returns what was found of an attempt that is taken over. */
export function knownOf(
  found: Exclude<AttemptFound, { readonly kind: "never_begun" }>,
): Known | undefined {
  return found.kind === "alive" ? undefined : { outcome: found.outcome, begun: true };
}

/** Returns the name of an attempt: `<job id>/<attempt number>`. */
export function keyOf(ref: AttemptRef): string {
  return `${ref.jobId}/${ref.number}`;
}

/** Returns an attempt as fields of a log message. */
export function fieldsOf(ref: AttemptRef): Record<string, unknown> {
  return { jobId: ref.jobId, attempt: ref.number, project: ref.project };
}
