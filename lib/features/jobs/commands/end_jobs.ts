/**
 * Waits for jobs, and cancels them.
 *
 * @module
 */
import { formatDuration } from "@lib/core/duration.ts";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import { type CliContext, OutputClosedError } from "@lib/api/client/context.ts";
import { resultLine } from "@lib/api/client/format.ts";
import { hasEnded, type JobAnswer, jobIdOf, pages } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { changeJob, waitForEnd } from "@lib/features/jobs/client.ts";
import { jobExitCode } from "@lib/features/jobs/commands/follow_job.ts";
import { isTerminal, JOB_STATES } from "@lib/spine/jobs/model.ts";

/** The flags of `wait`; the time in milliseconds. */
export interface WaitFlags {
  readonly ids: readonly string[];
  readonly timeout: number | undefined;
}

/** Runs `wait`. */
export async function runWait(
  { ids, timeout }: WaitFlags,
  context: CliContext,
): Promise<number> {
  using runner = await context.connect();
  const until = timeout === undefined ? Infinity : context.clock.now() + timeout;
  let exitCode = 0;
  // One after another: all must end, so the order does not change the total time.
  // All before the first: while this waits, newer jobs change what a text names.
  const named = await Promise.all(ids.map((id) => jobIdOf(runner, id, context.signal)));
  for (const id of named) {
    const job = await waitFor(context, runner, id, until);
    if (!hasEnded(job)) {
      throw new CicdError(
        "deadline_exceeded",
        `Cannot wait longer for job "${job.id}": it is ${job.state} after ` +
          formatDuration(timeout ?? 0),
      );
    }
    await report(context, job);
    exitCode ||= await jobExitCode(job);
  }
  return exitCode;
}

const OPEN_STATES = JOB_STATES.filter((state) => !isTerminal(state));

/** The flags of `cancel`. */
export interface CancelFlags {
  readonly given: readonly string[];
  readonly labels: readonly string[];
  readonly project: string | undefined;
  readonly wait: boolean;
}

/** Runs `cancel`. */
export async function runCancel(
  { given, labels, project, wait }: CancelFlags,
  context: CliContext,
): Promise<number> {
  const isByLabel = labels.length > 0;
  if (isByLabel === given.length > 0) {
    const problem = isByLabel
      ? "give ids or --label, not both"
      : "give the id of a job, or --label";
    throw new CicdError("usage", `Cannot cancel: ${problem}`);
  }
  if (project !== undefined && !isByLabel) {
    throw new CicdError("usage", "Cannot cancel: --project requires --label");
  }
  using runner = await context.connect();
  const filter = { project, labels, states: OPEN_STATES };
  const ids = isByLabel
    ? (await Array.fromAsync(pages(runner, filter, Infinity, context.signal))).map(({ id }) => id)
    : given;
  if (ids.length === 0) context.out.note("no open jobs found");
  let exitCode = 0;
  for (const id of ids) {
    try {
      const job = await changeJob(
        runner,
        { id: isByLabel ? id : await jobIdOf(runner, id, context.signal), verb: "cancel" },
        context.signal,
      );
      if (!wait || hasEnded(job)) await report(context, job);
      else await report(context, await waitFor(context, runner, job.id));
    } catch (thrown) {
      const error = toCicdError(thrown);
      if (thrown instanceof OutputClosedError || error.code === "runner_unavailable") {
        throw thrown;
      }
      // One that has ended since it was listed.
      if (isByLabel && error.code === "state_conflict") continue;
      context.out.failed(error);
      exitCode ||= error.entry.exitCode;
    }
  }
  return exitCode;
}

function waitFor(context: CliContext, runner: RunnerTransport, id: string, until = Infinity) {
  return waitForEnd(context, runner, { id, until, signal: context.signal });
}

async function report({ out, flags }: CliContext, job: JobAnswer): Promise<void> {
  if (flags.json) return await out.json(job);
  await out.line(hasEnded(job) ? resultLine(job) : `job ${job.id} is being cancelled`);
}
