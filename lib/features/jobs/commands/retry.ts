/**
 * `retry`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { defineCommand } from "@lib/api/client/command.ts";
import { changeJob, logSize } from "@lib/features/jobs/client.ts";
import { runToEnd } from "@lib/features/jobs/commands/follow_job.ts";
import { jobArgument, toggle } from "@lib/foundations/cli/grammar_values.ts";

/** Runs an ended job again; with `--follow`, as `run` does. */
export const retry = defineCommand({
  name: "retry",
  brief: message`Run an ended job again`,
  description: message`The job keeps its id and gets a further attempt.`,
  examples: ["cicd-runner retry --follow 0192f3a4"],
  flags: (completer) =>
    object({
      id: jobArgument(completer),
      follow: toggle(
        ["-f", "--follow"],
        message`Follow the log of the new attempt and exit with the job's exit code`,
      ),
    }),
  async run({ id, follow }, context) {
    if (follow) {
      return await runToEnd(context, async (runner, signal) => {
        const from = await logSize(runner, { id }, signal);
        return { job: await changeJob(runner, { id, verb: "retry" }, signal), from };
      });
    }
    const { out, flags } = context;
    using runner = await context.connect();
    const job = await changeJob(runner, { id, verb: "retry" }, context.signal);
    if (flags.json) await out.json(job);
    else await out.line(`job ${job.id} is queued again`);
    return 0;
  },
});
