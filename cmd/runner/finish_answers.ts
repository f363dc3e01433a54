/**
 * The last answers of a runner that stops.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";

/** Answers under way, as {@linkcode finishAnswers} waits for them. */
export interface AnswersUnderWay {
  /** Resolves when no request is in progress or imminent. */
  readonly drained: (signal: AbortSignal) => Promise<void>;
  /** Resolves when no client waits for the end of a job, and nothing else is owed; `false` if none did. */
  readonly answered: (signal: AbortSignal) => Promise<boolean>;
}

/**
 * Deadline for open requests. An answer takes milliseconds; followers and long polls resume with the
 * next runner.
 */
const DRAIN_MS = 1_000;
/**
 * Deadline for answers to clients that wait for the end of a job: their jobs outlive the runner, but
 * not every client retries. Less than the service manager's `TimeoutStopSec=`.
 */
const ANSWERS_MS = 25_000;

/** Deadline for links to other systems, which end beside the answers. */
const LEAVE_MS = 12_000;

/** Ends links in order, or gives up. */
export async function leaveLinks(leave: (signal: AbortSignal) => Promise<void>): Promise<void> {
  using deadline = withDeadline(new AbortController().signal, LEAVE_MS, "links to other systems");
  await leave(deadline).catch(ignore("the process ends all the same"));
}

/** Waits until clients have their answers, or may no longer be waited for. */
export async function finishAnswers({ drained, answered }: AnswersUnderWay): Promise<void> {
  const never = new AbortController().signal;
  using answers = withDeadline(never, ANSWERS_MS, "answers under way");
  while (true) {
    using deadline = withDeadline(never, DRAIN_MS, "requests under way");
    await drained(deadline).catch(ignore("the requests that are left may wait for a job"));
    // Asked of a quiet runner too: a feature may owe answers that are no requests of the API. And a
    // request that arrived until now may have become one that waits for a job.
    if (await answered(answers).catch(ignore("their clients retry")) !== true) return;
  }
}
