/**
 * Rules across the fields of a request, and the policy of the project.
 *
 * The policy is checked before the job is accepted, so that its sender learns of it at once. Each
 * part checks its own again before it acts: the configuration may have changed meanwhile.
 *
 * @module
 */
import type { FieldIssue } from "@lib/core/errors.ts";
import { argvProblem } from "@lib/core/exec_limits.ts";
import { formatSize } from "@lib/core/size.ts";
import { isMaskable, SECRET_MIN_BYTES } from "@lib/foundations/secrets/secret_forms.ts";
import { containerIssues, type ContainerRules } from "@lib/spine/spec/container_policy.ts";
import { namedSecrets } from "@lib/spine/spec/field.ts";
import { gitIssues, type GitRules } from "@lib/spine/spec/git_policy.ts";
import { JOB } from "@lib/spine/spec/job_fields.ts";
import type { JobRequest, JobSpec } from "@lib/spine/spec/job_spec.ts";
import { isPosixShell, shebangProblem } from "@lib/spine/spec/script.ts";
import { artifactIssues, cacheIssues, fileIssues } from "@lib/spine/spec/workspace_paths.ts";

/** Longest script, in bytes. */
export const SCRIPT_MAX_BYTES = 1024 * 1024;

/** The policy of a project for its jobs. */
export interface JobRules {
  readonly containers: ContainerRules;
  readonly git: GitRules;
}

/** Returns the issues across the fields of a request. */
export function crossChecks(request: JobRequest): readonly FieldIssue[] {
  const { command, script, shell, errexit, env = {}, secrets = {}, workdir, image } = request;
  const issues: FieldIssue[] = [];
  const add = (path: string, message: string) => issues.push({ path, message });
  if (command === undefined && script === undefined) {
    add("script", "is missing; give `script`, or `command` as a list of program and arguments");
  }
  if (command !== undefined) {
    if (script !== undefined) add("command", "is given beside `script`; give one");
    if (shell !== undefined) add("shell", "works with `script` only");
    if (errexit !== undefined) add("errexit", "works with `script` only");
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
  if (errexit === true) {
    if (shell === undefined && script?.startsWith("#!")) {
      add("errexit", "works without a `#!` line only; write `set -e` into the script");
    } else if (shell !== undefined && !isPosixShell(shell)) {
      add("errexit", `works with a POSIX shell only, and \`shell\` is "${shell}"`);
    }
  }
  for (const key of Object.keys(secrets)) {
    if (Object.hasOwn(env, key)) add(`secrets.${key}`, "is in `env` too; give it once");
  }
  issues.push(...secretIssues(secrets));
  if (request.cancelInProgress === true && request.concurrencyGroup === undefined) {
    add("cancel_in_progress", "needs `concurrency_group`");
  }
  if (image === undefined) {
    const { pull, network, container, limits } = request;
    const needy = { pull, network, container, "limits.disk": limits?.diskBytes };
    for (const [path, value] of Object.entries(needy)) {
      if (value !== undefined) add(path, "works with `image` only");
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

/** Returns the issues of secrets that cannot be masked. */
export function secretIssues(secrets: Readonly<Record<string, string>>): readonly FieldIssue[] {
  return Object.entries(secrets)
    .filter(([, value]) => value !== "" && !isMaskable(value))
    .map(([name]) => ({
      path: `secrets.${name}`,
      message:
        `is shorter than ${SECRET_MIN_BYTES} bytes, so it could not be masked in logs; use a ` +
        "longer one, or `env` if it is not secret",
    }));
}

/** Returns the violations of the policy, by the fields of the job's request. */
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
  if (script.length > SCRIPT_MAX_BYTES) return scriptTooLong(script.length);
  if (!/[^\0- ]/.test(script)) return "is empty";
  const inShebang = shebangProblem(script);
  if (inShebang !== undefined) return inShebang;
  if (script.includes("\0")) return "contains a NUL character";
  if (!script.isWellFormed()) return "is not valid Unicode text";
  const bytes = new TextEncoder().encode(script).byteLength;
  return bytes > SCRIPT_MAX_BYTES ? scriptTooLong(bytes) : undefined;
}

function scriptTooLong(length: number): string {
  return `is ${formatSize(length)} long; at most ${formatSize(SCRIPT_MAX_BYTES)} are allowed, ` +
    "put the text into a file and run that";
}
