/**
 * The commands `run` and `submit`.
 *
 * @module
 */
import { merge, object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { defineCommand } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { type JobFlags, jobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import type { JobSpecInput } from "@lib/features/jobs/commands/job_spec.ts";
import { runHeld, submitAndLeave } from "@lib/features/jobs/commands/submit_job.ts";
import { toggle } from "@lib/foundations/cli/grammar_values.ts";

/** Submits a job and prints its id. */
export const submit = defineCommand({
  name: "submit",
  brief: message`Submit a job and print its id`,
  description: message`Returns when the job is on disk and cannot be lost.`,
  examples: [
    "cicd-runner submit -p web -- make deploy",
    "id=$(cicd-runner submit --file job.yaml) && cicd-runner wait $id",
  ],
  flags: jobFlags,
  run: submitOnly,
});

/** Submits a job, follows it, and exits with its exit code. */
export const run = defineCommand({
  name: "run",
  brief: message`Run a job, follow its log, and exit with its exit code`,
  description:
    message`Submits a job and writes its log to standard output, byte for byte, also across
restarts of the runner. The job runs in this directory, unless it has a checkout, files, an image,
artifacts or caches, or with ${"--workspace"}: then in a fresh workspace. The last line on standard error is the result. Ctrl-C cancels the job, a
second Ctrl-C leaves at once. If this program is killed or its connection stays lost, the runner
cancels the job after ${"queue.disconnect_patience"}, unless it was submitted with ${"--detach"}.
In a step of GitHub Actions, or with ${"--github"}, a failed job makes an annotation with its reason,
its setup is a group, its result is in the step summary, and a job on the host gets the step's
GITHUB_ and RUNNER_ variables; GITHUB_TOKEN as a secret.`,
  examples: [
    "cicd-runner run -p web -- make test",
    "cicd-runner run -p web --limit-memory 2G --timeout 20m -- npm ci",
    "cicd-runner run -p web --secret NPM_TOKEN=env:NPM_TOKEN --script build.sh",
    "cicd-runner run --image node:22 --git https://example.org/app.git -- npm test",
    "cicd-runner run --file job.yaml",
  ],
  flags: (completer) =>
    merge(
      object({
        detach: toggle(["-d", "--detach"], message`Print the job's id and leave`),
        github: toggle(
          ["--github"],
          message`Behave as a step of GitHub Actions; set by itself in one`,
        ),
      }),
      jobFlags(completer),
    ),
  async run({ detach, github, ...flags }, context) {
    if (detach) return await submitOnly(flags, context);
    if (!github && context.env["GITHUB_ACTIONS"] !== "true") {
      return await runHeld(context, await readSpec(flags, context));
    }
    const { runInStep, withStepVariables } = await import(
      "@lib/features/jobs/commands/github_step.ts"
    );
    return await runInStep(context, async (inStep, onEnd) => {
      const spec = await readSpec(flags, inStep);
      const request = withStepVariables(spec.request, context);
      return await runHeld(inStep, { ...spec, request }, onEnd);
    });
  },
});

async function submitOnly(flags: JobFlags, context: CliContext): Promise<number> {
  return await submitAndLeave(context, await readSpec(flags, context));
}

async function readSpec(flags: JobFlags, context: CliContext): Promise<JobSpecInput> {
  const { openInput, readJobSpec } = await import("@lib/features/jobs/commands/job_spec.ts");
  return await readJobSpec(flags, openInput(context));
}
