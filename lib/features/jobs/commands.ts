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
import { formatDuration } from "@lib/core/duration.ts";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import { type CliContext, OutputClosedError } from "@lib/api/client/context.ts";
import { resultLine } from "@lib/api/client/format.ts";
import { hasEnded, type JobAnswer, jobIdOf, pages } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { printChanges } from "@lib/api/client/watch.ts";
import {
  changeJob,
  type LogPart,
  logSize,
  openLog,
  showJob,
  waitForEnd,
} from "@lib/features/jobs/client.ts";
import {
  jobExitCode,
  logWriter,
  runToEnd,
  sayCuts,
  writeLog,
} from "@lib/features/jobs/commands/follow_job.ts";
import { jobs, labelFlags } from "@lib/features/jobs/commands/jobs.ts";
import { plainCounter, stampedCounter } from "@lib/features/jobs/commands/follow_log.ts";
import { run, submit } from "@lib/features/jobs/commands/run.ts";
import { isTerminal, JOB_STATES } from "@lib/spine/jobs/model.ts";
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
  async run({ id: text, stream, timestamps, tail, from, follow }, context) {
    if (tail !== undefined && from !== undefined) {
      const problem = "Cannot read the log: --tail and --from exclude each other";
      throw new CicdError("usage", problem);
    }
    const { flags, signal } = context;
    using runner = await context.connect();
    const id = await jobIdOf(runner, text, signal);
    const part: LogPart = {
      from: tail === undefined
        ? from ?? 0
        : Math.max(0, await logSize(runner, { id, stream }, signal) - tail),
      timestamps,
      ...(stream === undefined ? {} : { stream }),
    };
    if (follow) await writeLog(context, { runner, id, part, signal });
    else {
      const writer = logWriter(context);
      const counter = timestamps === true ? stampedCounter() : plainCounter();
      using response = await openLog(runner, { ...part, id, hasNotes: !flags.json }, signal);
      let offset = part.from;
      for await (const chunk of response.body) {
        const { bytes, consumed } = counter.take(chunk);
        if (bytes.length > 0) await writer.write(bytes, offset);
        offset += consumed;
      }
      const { bytes } = counter.flush();
      if (bytes.length > 0) await writer.write(bytes, offset);
      await writer.end();
      if (flags.json) await sayCuts(context, await showJob(runner, id, signal));
    }
    return 0;
  },
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
  async run({ ids, timeout }, context) {
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
      exitCode ||= jobExitCode(job);
    }
    return exitCode;
  },
});

const OPEN_STATES = JOB_STATES.filter((state) => !isTerminal(state));

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
  async run({ given, labels, project, wait }, context) {
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
  },
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

function waitFor(context: CliContext, runner: RunnerTransport, id: string, until = Infinity) {
  return waitForEnd(context, runner, { id, until, signal: context.signal });
}

async function report({ out, flags }: CliContext, job: JobAnswer): Promise<void> {
  if (flags.json) return await out.json(job);
  await out.line(hasEnded(job) ? resultLine(job) : `job ${job.id} is being cancelled`);
}
