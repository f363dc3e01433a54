/**
 * Rules that no single field can know: what fits together, and what is allowed here.
 *
 * What is allowed is checked before the job is accepted, so that whoever submits hears of it at
 * once. Each part checks its own again before it acts: the configuration may have changed while
 * the job waited.
 *
 * @module
 */
import type { FieldIssue } from "@lib/core/errors.ts";
import { argvProblem } from "@lib/core/exec_limits.ts";
import { formatSize } from "@lib/core/size.ts";
import { SECRET_MIN_BYTES, secretForms } from "@lib/foundations/secrets/secret_forms.ts";
import { containerIssues, type ContainerRules } from "@lib/spine/spec/container_policy.ts";
import { namedSecrets } from "@lib/spine/spec/field.ts";
import { gitIssues, type GitRules } from "@lib/spine/spec/git_policy.ts";
import { JOB } from "@lib/spine/spec/job_fields.ts";
import type { JobRequest, JobSpec } from "@lib/spine/spec/job_spec.ts";
import { artifactIssues, cacheIssues, fileIssues } from "@lib/spine/spec/workspace_paths.ts";

/** Longest script, in bytes. */
export const SCRIPT_MAX_BYTES = 4 * 1024 * 1024;

/** What the configuration allows the jobs of a project. */
export interface JobRules {
  readonly containers: ContainerRules;
  readonly git: GitRules;
}

/** Says what does not fit together in a request; empty if all does. */
export function crossChecks(request: JobRequest): readonly FieldIssue[] {
  const { command, script, shell, env = {}, secrets = {}, workdir, image } = request;
  const issues: FieldIssue[] = [];
  const add = (path: string, message: string) => issues.push({ path, message });
  if (command === undefined && script === undefined) {
    add("script", "is missing; give `script`, or `command` as a list of program and arguments");
  }
  if (command !== undefined) {
    if (script !== undefined) add("command", "stands beside `script`; give one");
    if (shell !== undefined) add("shell", "goes with `script` only");
    const problem = argvProblem(command);
    if (problem !== undefined) {
      add(problem.field === "" ? "command" : `command.${problem.field}`, problem.message);
    }
  }
  if (shell !== undefined && !shell.startsWith("/")) {
    add("shell", `is "${shell}"; give an absolute path such as /bin/bash`);
  }
  const inScript = script === undefined ? undefined : scriptProblem(script);
  if (inScript !== undefined) add("script", inScript);
  for (const key of Object.keys(secrets)) {
    if (Object.hasOwn(env, key)) add(`secrets.${key}`, "stands in `env` too; give it once");
  }
  for (const key of secretForms(new Map(Object.entries(secrets))).unmasked) {
    add(
      `secrets.${key}`,
      `is shorter than ${SECRET_MIN_BYTES} bytes, so it could not be masked in logs; use a longer ` +
        "one, or `env` if it is no secret",
    );
  }
  if (request.cancelInProgress === true && request.concurrencyGroup === undefined) {
    add("cancel_in_progress", "needs `concurrency_group`");
  }
  if (image === undefined) {
    const { pull, network, container, limits } = request;
    const needy = { pull, network, container, "limits.disk": limits?.diskBytes };
    for (const [path, value] of Object.entries(needy)) {
      if (value !== undefined) add(path, "goes with `image` only");
    }
  }
  for (const [path, name] of namedSecrets(JOB, request)) {
    if (!Object.hasOwn(secrets, name)) {
      add(path, `names "${name}", which is not among \`secrets\``);
    }
  }
  if (
    workdir !== undefined && (/[\p{Cc}\p{Cs}]/u.test(workdir) || workdir.split("/").includes(".."))
  ) {
    add("workdir", "contains '..' or a control character");
  }
  return issues;
}

/** Says what is not allowed, by the fields of the job's request; empty if all is. */
export function policyIssues(spec: JobSpec, rules: JobRules): readonly FieldIssue[] {
  const { container, git, files, artifacts, caches } = spec;
  return [
    ...(container === undefined ? [] : containerIssues(container, rules.containers)),
    ...(git === undefined ? [] : gitIssues(git, rules.git)),
    ...(files === undefined ? [] : fileIssues(files)),
    ...(artifacts === undefined ? [] : artifactIssues(artifacts)),
    ...(caches === undefined ? [] : cacheIssues(caches)),
  ];
}

function scriptProblem(script: string): string | undefined {
  if (script.trim() === "") return "is empty";
  if (script.includes("\0")) return "contains a NUL character";
  if (!script.isWellFormed()) return "is no valid Unicode text";
  const bytes = new TextEncoder().encode(script).byteLength;
  return bytes > SCRIPT_MAX_BYTES
    ? `is ${formatSize(bytes)} long; at most ${formatSize(SCRIPT_MAX_BYTES)} are allowed, ` +
      "put the text into a file and run that"
    : undefined;
}
