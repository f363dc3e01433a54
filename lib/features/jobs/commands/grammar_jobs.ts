/**
 * The commands about jobs: what may be given to each.
 *
 * @module
 */
import { merge, object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, option } from "@optique/core/primitives";
import { choice, integer } from "@optique/core/valueparser";
import { jobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import {
  type Completer,
  duration,
  examples,
  jobId,
  projectName,
  size,
  stateList,
  toggle,
} from "@lib/foundations/cli/grammar_values.ts";

/** The commands that make a job. */
export function submitCommands(completer: Completer) {
  const flags = jobFlags(completer);
  return or(
    command(
      "run",
      merge(
        object({
          command: constant("run"),
          detach: toggle(["-d", "--detach"], message`Print the job's id and leave`),
        }),
        flags,
      ),
      {
        brief: message`Run a job, follow its log, and exit with its exit code`,
        description:
          message`Submits a job and writes its log to standard output, byte for byte, also across
restarts of the runner. The last line on standard error tells how it ended. Ctrl-C cancels the
job, a second Ctrl-C leaves at once.`,
        footer: examples(
          "cicd-runner run -p web -- make test",
          'cicd-runner run -p web --workdir "$PWD" --limit-memory 2G --timeout 20m -- npm ci',
          "cicd-runner run -p web --secret NPM_TOKEN=env:NPM_TOKEN --script build.sh",
          "cicd-runner run --image node:22 --git https://example.org/app.git -- npm test",
          "cicd-runner run --file job.yaml",
        ),
      },
    ),
    command(
      "submit",
      merge(object({ command: constant("submit") }), flags),
      {
        brief: message`Submit a job and print its id`,
        description: message`Returns when the job is on disk; it is then never lost.`,
        footer: examples(
          "cicd-runner submit -p web -- make deploy",
          "id=$(cicd-runner submit --file job.yaml) && cicd-runner wait $id",
        ),
      },
    ),
  );
}

/** The commands that look at jobs. */
export function lookCommands(completer: Completer) {
  const id = argument(jobId(completer), {
    description: message`The job, by its id or the beginning of it`,
  });
  return or(
    command(
      "jobs",
      object({
        command: constant("jobs"),
        project: optional(option("-p", "--project", projectName(completer), {
          description: message`Only those of a project`,
        })),
        states: optional(option("-s", "--state", stateList(), {
          description: message`Only those in these states, such as queued,running`,
        })),
        limit: withDefault(
          option("-n", "--limit", integer({ metavar: "COUNT", min: 1 }), {
            description: message`How many`,
          }),
          50,
        ),
        all: toggle(["-a", "--all"], message`All there are, however many`),
        watch: toggle(["-w", "--watch"], message`Keep the list up to date until Ctrl-C`),
      }),
      {
        brief: message`List jobs, newest first`,
        footer: examples(
          "cicd-runner jobs -p web --state failed,timed_out",
          "cicd-runner jobs --all --json | jq -r .id",
        ),
      },
    ),
    command("show", object({ command: constant("show"), id }), {
      brief: message`Show a job: state, reason, attempts, usage, limits`,
      footer: examples("cicd-runner show 0192f3a4"),
    }),
    command(
      "logs",
      object({
        command: constant("logs"),
        id,
        follow: toggle(["-f", "--follow"], message`Go on until the job has ended`),
        timestamps: toggle(["-t", "--timestamps"], message`Put the time before each line`),
        stream: optional(option("--stream", choice(["stdout", "stderr"]), {
          description: message`One stream only, of a job with split output`,
        })),
        tail: optional(option("--tail", size(), {
          description: message`Only the last bytes, such as 10K`,
        })),
        from: optional(option("--from", integer({ metavar: "OFFSET", min: 0 }), {
          description: message`Begin at this byte of the log`,
        })),
      }),
      {
        brief: message`Print a job's log`,
        description: message`Following goes on across restarts of the runner; no byte is lost or
comes twice. Exits with 0 whatever became of the job.`,
        footer: examples(
          "cicd-runner logs -f 0192f3a4",
          "cicd-runner logs --tail 10K --timestamps 0192f3a4",
        ),
      },
    ),
    command(
      "wait",
      object({
        command: constant("wait"),
        ids: multiple(id, { min: 1, errors: { tooFew: message`Give the id of a job.` } }),
        timeout: optional(option("-t", "--timeout", duration(), {
          description: message`Wait no longer than this`,
        })),
      }),
      {
        brief: message`Wait for jobs to end, and exit with their exit code`,
        description:
          message`Of several jobs, the first of those given that did not succeed decides.`,
        footer: examples("cicd-runner wait --timeout 30m 0192f3a4"),
      },
    ),
    command(
      "events",
      object({
        command: constant("events"),
        since: optional(option("--since", integer({ metavar: "REVISION", min: 0 }), {
          description: message`Begin after this change; 0 for all there are`,
        })),
        project: optional(option("-p", "--project", projectName(completer), {
          description: message`Only those of a project`,
        })),
      }),
      {
        brief: message`Print the changes of jobs as they come`,
        footer: examples("cicd-runner events --json | jq -r '.id + \" \" + .state'"),
      },
    ),
  );
}

/** The commands that change jobs. */
export function changeCommands(completer: Completer) {
  const id = argument(jobId(completer), {
    description: message`The job, by its id or the beginning of it`,
  });
  return or(
    command(
      "cancel",
      object({
        command: constant("cancel"),
        ids: multiple(id, { min: 1, errors: { tooFew: message`Give the id of a job.` } }),
        wait: toggle(["-w", "--wait"], message`Return when the jobs have ended`),
      }),
      {
        brief: message`Cancel jobs`,
        description: message`A running job gets SIGTERM, and SIGKILL after its grace period.`,
        footer: examples(
          "cicd-runner cancel 0192f3a4",
          "cicd-runner jobs -p web --state queued --json | jq -r .id | xargs cicd-runner cancel",
        ),
      },
    ),
    command(
      "retry",
      object({
        command: constant("retry"),
        id,
        follow: toggle(
          ["-f", "--follow"],
          message`Follow the log of the new attempt and exit with the job's exit code`,
        ),
      }),
      {
        brief: message`Run an ended job again`,
        description: message`The job keeps its id and gets a further attempt.`,
        footer: examples("cicd-runner retry --follow 0192f3a4"),
      },
    ),
  );
}
