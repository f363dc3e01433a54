/**
 * Submitting a job once, also when the answer gets lost.
 *
 * @module
 */
import type { JobAnswer } from "@lib/api/client/answers.ts";
import { ConnectionLostError } from "@lib/api/client/connection_lost.ts";
import type { Reconnect } from "@lib/api/client/reconnect.ts";

/**
 * Submits until there is an answer; `submit` sends the same idempotency key
 * each time, so however often it arrives, there is one job.
 *
 * @throws {ConnectionLostError} At once if nobody has ever listened.
 */
export async function submitSafely(
  submit: () => Promise<JobAnswer>,
  reconnect: Reconnect,
): Promise<JobAnswer> {
  try {
    return await submit();
  } catch (error) {
    if (error instanceof ConnectionLostError && !error.isListening) throw error;
    await reconnect.afterFailure(error);
  }
  return await reconnect.run(submit);
}
