/**
 * What jobs are made of in tests.
 *
 * @module
 */
import type { JobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import type { JobSpecPorts } from "@lib/features/jobs/commands/job_spec.ts";

/** Flags none of which is given. */
export const none: JobFlags = {
  argv: [],
  project: undefined,
  script: undefined,
  file: undefined,
  env: [],
  secrets: [],
  workdir: undefined,
  shell: undefined,
  limitCpu: undefined,
  limitMemory: undefined,
  limitTasks: undefined,
  timeout: undefined,
  grace: undefined,
  priority: undefined,
  group: undefined,
  cancelInProgress: false,
  retries: undefined,
  retryOn: [],
  retryDelay: undefined,
  output: undefined,
  logMax: undefined,
  labels: [],
  gitUrl: undefined,
  gitRef: undefined,
  gitSha: undefined,
  gitDepth: undefined,
  gitSubmodules: false,
  gitLfs: false,
  gitPath: undefined,
  gitToken: undefined,
  artifacts: [],
  artifactWhen: undefined,
  caches: [],
  image: undefined,
  pull: undefined,
  network: undefined,
  entrypoint: undefined,
  user: undefined,
  mounts: [],
  capabilities: [],
  privileged: false,
  ulimits: [],
  shmSize: undefined,
  limitDisk: undefined,
  registryUser: undefined,
  registryPassword: undefined,
};

/** Files and variables of a test. */
export function ports(
  files: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): JobSpecPorts {
  return {
    cwd: "/home/me",
    env: (name) => env[name],
    readStdin: () => Promise.resolve("from standard input\n"),
    readFile: (path) =>
      path in files
        ? Promise.resolve(files[path] ?? "")
        : Promise.reject(new Error("no such file")),
  };
}
