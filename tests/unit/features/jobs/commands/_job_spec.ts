/**
 * What jobs are made of in tests.
 *
 * @module
 */
import type { JobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import type { JobSpecPorts } from "@lib/features/jobs/commands/flag_values.ts";

/** Flags none of which is given. */
export const none: JobFlags = { argv: [], file: undefined, workspace: true, given: {} };

/** A command line with the flags of some fields, by their paths. */
export function flags(
  given: JobFlags["given"],
  others: Partial<JobFlags> = { argv: ["x"] },
): JobFlags {
  return { ...none, ...others, given };
}

/** Files and variables of a test. */
export function ports(
  files: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): JobSpecPorts {
  return {
    cwd: "/home/me",
    isRemote: false,
    env: (name) => env[name],
    readStdin: () => Promise.resolve("from standard input\n"),
    readFile: (path) =>
      path in files
        ? Promise.resolve(files[path] ?? "")
        : Promise.reject(new Error("no such file")),
  };
}
