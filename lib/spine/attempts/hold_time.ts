/**
 * Decides if an attempt is held.
 *
 * @module
 */
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { retryCauses } from "@lib/spine/jobs/state_machine.ts";

/** Returns for how long an attempt is to be held; 0: not at all. */
export function holdMs(
  { ref, spec }: Pick<AttemptHandle, "ref" | "spec">,
  outcome: AttemptOutcome,
  maxMs: number,
): number {
  const { holdMs = 0, retries } = spec;
  // An attempt that did not begin has nothing to look at.
  const isFailure = outcome.startedAt !== undefined &&
    (outcome.state === "failed" || outcome.state === "timed_out");
  // The runner ends the hold of one that is tried again after a retry on request.
  const isRetried = ref.number <= retries.max &&
    retryCauses(outcome).some((cause) => retries.on.includes(cause));
  return isFailure && !isRetried ? Math.min(holdMs, maxMs) : 0;
}
