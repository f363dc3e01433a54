/**
 * The request of a job that is nothing but a command in the caller's directory.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { JobSpecInput } from "@lib/features/jobs/commands/job_spec.ts";

/** Makes what `readJobSpec` makes of a command and `--project`. */
export function commandRequest(
  { argv, project }: { readonly argv: readonly string[]; readonly project: string | undefined },
  { cwd, env }: {
    readonly cwd: string;
    readonly env: (name: string) => string | undefined;
  },
): JobSpecInput {
  const named = project ?? (env("CICD_PROJECT") || "default");
  const flagOf = (path: string) =>
    `${path}.`.startsWith("command.")
      ? "COMMAND"
      : path === "project" && project !== undefined
      ? "--project"
      : undefined;
  return {
    request: { project: named, command: argv, workdir: cwd },
    explain(error) {
      const issues = error.issues.map(({ path, message }) => ({
        path: flagOf(path) ?? path,
        message,
      }));
      if (!error.issues.some(({ path }) => flagOf(path) !== undefined)) return error;
      return new CicdError(error.code, "Cannot accept the job", { issues, cause: error });
    },
  };
}
