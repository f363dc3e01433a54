/**
 * `wait` and `cancel`.
 *
 * @module
 */
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { hasEnded, type JobAnswer } from "@lib/api/client/answers.ts";
import { jobExitCode } from "@lib/features/jobs/client/exit_code.ts";
import type { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import { waitForEnd } from "@lib/features/jobs/client/wait_for_end.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { resultLine } from "@lib/api/client/format.ts";
import type { InvocationOf } from "../../../../cmd/runner/commands/grammar.ts";
import { OutputClosedError } from "@lib/foundations/cli/output.ts";

/**
 * Waits for jobs to end.
 *
 * @returns The exit code of the first job, in the order given, that did not succeed.
 * @throws {CicdError} `deadline_exceeded` if one has not ended in time.
 */
export async function wait(
  { ids, timeout }: InvocationOf<"wait">,
  context: CliContext,
): Promise<number> {
  using client = await context.connect();
  const until = timeout === undefined ? Infinity : context.clock.now() + timeout;
  let exitCode = 0;
  // One after another: all must end, so the last one decides when this does.
  for (const id of ids) {
    const job = await waitFor(context, client, id, until);
    if (!hasEnded(job)) {
      throw new CicdError(
        "deadline_exceeded",
        `Cannot wait longer for job "${job.id}": it is ${job.state} after ` +
          formatDuration(timeout ?? 0),
      );
    }
    await tell(context, job);
    exitCode ||= jobExitCode(job);
  }
  return exitCode;
}

/** Cancels jobs; one that cannot be cancelled does not keep the others. */
export async function cancel(
  invocation: InvocationOf<"cancel">,
  context: CliContext,
): Promise<number> {
  using client = await context.connect();
  let exitCode = 0;
  for (const id of invocation.ids) {
    try {
      const job = await client.cancel(id, context.signal);
      if (!invocation.wait || hasEnded(job)) await tell(context, job);
      else await tell(context, await waitFor(context, client, job.id, Infinity));
    } catch (thrown) {
      const error = toCicdError(thrown);
      if (thrown instanceof OutputClosedError || error.code === "runner_unavailable") throw thrown;
      context.out.note(error.message);
      exitCode ||= error.entry.exitCode;
    }
  }
  return exitCode;
}

function waitFor(context: CliContext, client: RunnerClient, id: string, until: number) {
  const { clock, signal } = context;
  return waitForEnd({
    waitOnce: (timeoutMs) => client.waitOnce(id, timeoutMs, signal),
    reconnect: context.reconnect(),
    clock,
    until,
  });
}

async function tell({ out, flags }: CliContext, job: JobAnswer): Promise<void> {
  if (flags.json) return await out.json(job);
  await out.line(hasEnded(job) ? resultLine(job) : `job ${job.id} is being cancelled`);
}
