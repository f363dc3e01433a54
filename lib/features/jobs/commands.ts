/**
 * The commands about jobs, in the order of the help.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { jobIdOf } from "@lib/api/client/jobs.ts";
import { printChanges } from "@lib/api/client/watch.ts";
import { changeJob, logSize } from "@lib/features/jobs/client.ts";
import { runCancel, runWait } from "@lib/features/jobs/commands/end_jobs.ts";
import { runToEnd } from "@lib/features/jobs/commands/follow_job.ts";
import { jobs, labelFlags } from "@lib/features/jobs/commands/jobs.ts";
import { runLogs } from "@lib/features/jobs/commands/print_log.ts";
import { run, submit } from "@lib/features/jobs/commands/run.ts";
import { show } from "@lib/features/jobs/commands/show.ts";
import {
  type Completer,
  duration,
  jobArgument,
  projectName,
  size,
  toggle,
  wholeNumber,
} from "@lib/foundations/cli/grammar_values.ts";

const logs = defineCommand({
  name: "logs",
  brief: message`Print a job's log`,
  description: message`Following continues across restarts of the runner; no byte is lost or
repeated. Exits with 0 however the job ended.`,
  examples: [
    "cicd-runner logs -f 0192f3a4",
    "cicd-runner logs --tail 10K --timestamps 0192f3a4",
  ],
  flags: (completer) =>
    object({
      id: jobArgument(completer),
      follow: toggle(["-f", "--follow"], message`Follow the log until the job has ended`),
      timestamps: toggle(["-t", "--timestamps"], message`Prefix each line with its time`),
      stream: optional(option("--stream", choice(["stdout", "stderr"]), {
        description: message`Only one stream, of a job with split output`,
      })),
      tail: optional(option("--tail", size(), {
        description: message`Only the last bytes, such as 10K`,
      })),
      from: optional(option("--from", wholeNumber("OFFSET", 0), {
        description: message`Start at this byte of the log`,
      })),
    }),
  run: runLogs,
});

/**
 * Waits for jobs to end, and exits with the exit code of the first job, in the order given, that
 * did not succeed.
 */
const wait = defineCommand({
  name: "wait",
  brief: message`Wait for jobs to end, and exit with their exit code`,
  description:
    message`With several jobs, the exit code is that of the first one given that did not succeed.`,
  examples: ["cicd-runner wait --timeout 30m 0192f3a4"],
  flags: (completer) =>
    object({
      ids: jobArguments(completer),
      timeout: optional(option("-t", "--timeout", duration(), {
        description: message`Maximum time to wait`,
      })),
    }),
  run: runWait,
});

/** Cancels jobs; continues with the others if one cannot be cancelled. */
const cancel = defineCommand({
  name: "cancel",
  brief: message`Cancel jobs`,
  description: message`A running job gets SIGTERM, and SIGKILL after its grace period. With
${"--label"}, all open jobs with these labels are cancelled.`,
  examples: [
    "cicd-runner cancel 0192f3a4",
    "cicd-runner cancel -p web --label branch=feature",
    "cicd-runner jobs -p web --state queued --json | jq -r .id | xargs cicd-runner cancel",
  ],
  flags: (completer) =>
    object({
      given: multiple(jobArgument(completer)),
      labels: labelFlags(message`Cancel the open jobs with this label; repeat it for several`),
      project: optional(option("-p", "--project", projectName(completer), {
        description: message`With ${"--label"}: only jobs of this project`,
      })),
      wait: toggle(["-w", "--wait"], message`Return when the jobs have ended`),
    }),
  run: runCancel,
});

const events = defineCommand({
  name: "events",
  brief: message`Print the changes of jobs as they come`,
  examples: ["cicd-runner events --json | jq -r '.id + \" \" + .state'"],
  flags: (completer) =>
    object({
      since: optional(option("--since", wholeNumber("REVISION", 0), {
        description: message`Start after this change; 0 for all changes on record`,
      })),
      project: optional(option("-p", "--project", projectName(completer), {
        description: message`Only those of this project`,
      })),
    }),
  async run({ since, project }, context) {
    using runner = await context.connect();
    return await printChanges(context, runner, {
      since,
      isWanted: (job) => project === undefined || job.project === project,
    });
  },
});

/** Runs an ended job again; with `--follow`, as `run` does. */
const retry = defineCommand({
  name: "retry",
  brief: message`Run an ended job again`,
  description: message`The job keeps its id and gets another attempt. A job's secrets are removed
when it has ended, so give all of them again. With ${"--follow"}, the job is cancelled if this
program is killed, as with run.`,
  examples: [
    "cicd-runner retry --follow 0192f3a4",
    "cicd-runner retry --secret NPM_TOKEN=env:NPM_TOKEN 0192f3a4",
  ],
  flags: (completer) =>
    object({
      id: jobArgument(completer),
      secrets: multiple(option("--secret", string({ metavar: "NAME=SOURCE" }), {
        description: message`One of the job's secrets; SOURCE as for ${"run"}`,
      })),
      follow: toggle(
        ["-f", "--follow"],
        message`Follow the log of the new attempt and exit with the job's exit code`,
      ),
    }),
  async run({ id, follow, secrets }, context) {
    const change = { verb: "retry", ...await retryBody(secrets, context) } as const;
    if (follow) {
      return await runToEnd(context, async (runner, signal) => {
        const named = await jobIdOf(runner, id, signal);
        const from = await logSize(runner, { id: named }, signal);
        const job = await changeJob(runner, { ...change, id: named, isHeld: true }, signal);
        return { job, from };
      });
    }
    const { out, flags } = context;
    using runner = await context.connect();
    const named = await jobIdOf(runner, id, context.signal);
    const job = await changeJob(runner, { ...change, id: named }, context.signal);
    if (flags.json) await out.json(job);
    else await out.line(`job ${job.id} is queued again`);
    return 0;
  },
});

async function retryBody(given: readonly string[], context: CliContext) {
  if (given.length === 0) return {};
  const { openInput } = await import("@lib/features/jobs/commands/job_spec.ts");
  const { readSecrets } = await import("@lib/features/jobs/commands/flag_values.ts");
  return { body: { secrets: await readSecrets(given, openInput(context)) } };
}

/** The commands about jobs. */
export const commands: readonly Command[] = [
  ...[run, submit, jobs, show],
  ...[logs, wait, events, cancel, retry],
];

function jobArguments(completer: Completer) {
  return multiple(jobArgument(completer), {
    min: 1,
    errors: { tooFew: message`Give the id of a job.` },
  });
}
