/**
 * `run` as a step of GitHub Actions: an annotation with the reason when the job fails, the setup in
 * a group, a line in the step summary, and the step's variables for a job on the host.
 *
 * A job's own output reaches the step as it is, as that of any command in a step does. Workflow
 * commands in the lines of the setup, which quote repositories and images, have no effect.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { type CliContext, OutputClosedError } from "@lib/api/client/context.ts";
import { oneLine, resultLine } from "@lib/api/client/format.ts";
import type { JobAnswer } from "@lib/api/client/jobs.ts";
import type { OnEnd } from "@lib/features/jobs/commands/follow_job.ts";
import { StepLog } from "@lib/features/jobs/commands/step_log.ts";

/**
 * Runs a job as a step.
 *
 * @param run Runs it in the given context and calls `onEnd` when it has ended.
 */
export async function runInStep(
  context: CliContext,
  run: (context: CliContext, onEnd: OnEnd) => Promise<number>,
): Promise<number> {
  const { out, flags, env } = context;
  const log = new StepLog();
  const write = async (text: string) => {
    // With --json, standard output has only JSON; commands work on standard error too.
    if (flags.json) return console.error(text.trimEnd());
    await out.write(Buffer.from(text)).catch((error) => {
      if (!(error instanceof OutputClosedError)) throw error;
    });
  };
  const fail = (title: string, message: string) => write(log.end() + annotation(title, message));
  const own = {
    ...out,
    write: (bytes: Uint8Array) => out.write(log.push(bytes)),
    note: (text: string) => out.note(text.replaceAll("##[", "## [")),
  };
  try {
    return await run({ ...context, out: own }, async (job) => {
      await summarize(env["GITHUB_STEP_SUMMARY"], job).catch((error) =>
        own.note(`cannot write the step summary: ${messageOf(error)}`)
      );
      if (job.state === "succeeded") await write(log.end());
      else await fail(`${job.project}: ${job.state.replaceAll("_", " ")}`, resultLine(job));
    });
  } catch (error) {
    const issues = error instanceof CicdError ? error.issues : [];
    const reasons = issues.map(({ path, message }) => `${path}: ${message}`);
    await fail("cicd-runner", [messageOf(error), ...reasons].join("\n"));
    throw error;
  }
}

/** Adds the variables of the step to a request, unless it is for a container or another machine. */
export function withStepVariables(
  request: Readonly<Record<string, unknown>>,
  { env, flags }: Pick<CliContext, "env" | "flags">,
): Readonly<Record<string, unknown>> {
  const isRemote = flags.url !== undefined ||
    (flags.socket === undefined && (env["CICD_URL"] ?? "") !== "");
  if (isRemote || "image" in request) return request;
  const variables: Record<string, unknown> = { ...Object(request["env"]) };
  const secrets: Record<string, unknown> = { ...Object(request["secrets"]) };
  for (const [name, value] of Object.entries(env)) {
    // By RUNNER_TRACKING_ID the GitHub runner finds processes of its own to kill.
    if (!/^(?:CI|(?:GITHUB|RUNNER)_[A-Z0-9_]+)$/.test(name) || name === "RUNNER_TRACKING_ID") {
      continue;
    }
    if (Object.hasOwn(variables, name) || Object.hasOwn(secrets, name)) continue;
    const isSecret = /TOKEN|SECRET|PASSWORD/.test(name);
    if (isSecret && value !== "") secrets[name] = value;
    if (!isSecret) variables[name] = value;
  }
  return {
    ...request,
    env: variables,
    ...(Object.keys(secrets).length === 0 ? {} : { secrets }),
  };
}

/** Makes an annotation of the kind error. */
function annotation(title: string, message: string): string {
  const data = (text: string) =>
    text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
  const property = data(title).replaceAll(":", "%3A").replaceAll(",", "%2C");
  return `::error title=${property}::${data(message)}\n`;
}

/** Adds a line about an ended job to the summary of the step. */
async function summarize(path: string | undefined, job: JobAnswer): Promise<void> {
  if (path === undefined || path === "") return;
  // The job may have put something else in its place, on which an open would wait.
  if (!(await Deno.lstat(path)).isFile) throw new Error(`"${path}" is no file`);
  const text = (plain: string) => plain.replace(/[\\`*_{}[\]<>()#+!|~&]/g, "\\$&");
  const line = `**${text(job.project)}**: ${text(oneLine(resultLine(job)))}`;
  await Deno.writeTextFile(path, `\n${line}\n`, { append: true });
}
