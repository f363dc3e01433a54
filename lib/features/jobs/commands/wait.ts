/**
 * `wait` and `cancel`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { defineCommand } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { resultLine } from "@lib/api/client/format.ts";
import { hasEnded, type JobAnswer } from "@lib/api/client/jobs.ts";
import { OutputClosedError } from "@lib/api/client/output.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { changeJob, waitForEnd, waitOnce } from "@lib/features/jobs/client.ts";
import { jobExitCode } from "@lib/features/jobs/commands/exit_code.ts";
import {
  type Completer,
  duration,
  jobArgument,
  toggle,
} from "@lib/foundations/cli/grammar_values.ts";

/**
 * Waits for jobs to end, and exits with the exit code of the first job, in the order given, that
 * did not succeed.
 */
export const wait = defineCommand({
  name: "wait",
  brief: message`Wait for jobs to end, and exit with their exit code`,
  description: message`Of several jobs, the first of those given that did not succeed decides.`,
  examples: ["cicd-runner wait --timeout 30m 0192f3a4"],
  flags: (completer) =>
    object({
      ids: jobArguments(completer),
      timeout: optional(option("-t", "--timeout", duration(), {
        description: message`Wait no longer than this`,
      })),
    }),
  async run({ ids, timeout }, context) {
    using runner = await context.connect();
    const until = timeout === undefined ? Infinity : context.clock.now() + timeout;
    let exitCode = 0;
    // One after another: all must end, so the last one decides when this does.
    for (const id of ids) {
      const job = await waitFor(context, runner, id, until);
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
  },
});

/** Cancels jobs; one that cannot be cancelled does not keep the others. */
export const cancel = defineCommand({
  name: "cancel",
  brief: message`Cancel jobs`,
  description: message`A running job gets SIGTERM, and SIGKILL after its grace period.`,
  examples: [
    "cicd-runner cancel 0192f3a4",
    "cicd-runner jobs -p web --state queued --json | jq -r .id | xargs cicd-runner cancel",
  ],
  flags: (completer) =>
    object({
      ids: jobArguments(completer),
      wait: toggle(["-w", "--wait"], message`Return when the jobs have ended`),
    }),
  async run({ ids, wait }, context) {
    using runner = await context.connect();
    let exitCode = 0;
    for (const id of ids) {
      try {
        const job = await changeJob(runner, { id, verb: "cancel" }, context.signal);
        if (!wait || hasEnded(job)) await tell(context, job);
        else await tell(context, await waitFor(context, runner, job.id, Infinity));
      } catch (thrown) {
        const error = toCicdError(thrown);
        if (thrown instanceof OutputClosedError || error.code === "runner_unavailable") {
          throw thrown;
        }
        context.out.note(error.message);
        exitCode ||= error.entry.exitCode;
      }
    }
    return exitCode;
  },
});

function jobArguments(completer: Completer) {
  return multiple(jobArgument(completer), {
    min: 1,
    errors: { tooFew: message`Give the id of a job.` },
  });
}

function waitFor(context: CliContext, runner: RunnerTransport, id: string, until: number) {
  const { clock, signal } = context;
  return waitForEnd({
    waitOnce: (timeoutMs) => waitOnce(runner, { id, timeoutMs }, signal),
    reconnect: context.reconnect(),
    clock,
    until,
  });
}

async function tell({ out, flags }: CliContext, job: JobAnswer): Promise<void> {
  if (flags.json) return await out.json(job);
  await out.line(hasEnded(job) ? resultLine(job) : `job ${job.id} is being cancelled`);
}
