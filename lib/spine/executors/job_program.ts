/**
 * From a job's work to a program with an absolute path, in a working directory.
 *
 * @module
 */
import { assertNever } from "@lib/core/assert_never.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import type { ExecFailureCode } from "@lib/spine/executors/result_record.ts";
import { resolveProgram } from "@lib/spine/executors/resolve_program.ts";

/** What is to be executed. */
export interface ReadyProgram {
  readonly kind: "ready";
  readonly argv: readonly [path: string, ...args: string[]];
  readonly workdir: string;
}

/** What is to be executed, or why it cannot be. */
export type JobProgram =
  | ReadyProgram
  | { readonly kind: "failed"; readonly exitCode: ExecFailureCode };

/** Finds the program of an attempt, as it stands on disk now. */
export function jobProgram(
  { spec, env, secrets, directory }: Pick<AttemptRequest, "spec" | "env" | "secrets" | "directory">,
): JobProgram {
  const workdir = workdirOf(spec, directory);
  if (!isDirectory(workdir)) return { kind: "failed", exitCode: 200 };
  const [name, ...args] = spec.work.kind === "command"
    ? spec.work.argv
    : [spec.work.shell, directory.scriptFile];
  const found = resolveProgram(name ?? "", { path: secrets.get("PATH") ?? env.PATH, workdir });
  switch (found.kind) {
    case "found":
      return { kind: "ready", argv: [found.path, ...args], workdir };
    case "missing":
      return { kind: "failed", exitCode: 127 };
    case "not_executable":
      return { kind: "failed", exitCode: 126 };
    default:
      return assertNever(found);
  }
}

/** Where a job starts: absolute, or below its workspace. */
function workdirOf(spec: JobSpec, directory: AttemptDirectory): string {
  const { workdir } = spec;
  if (workdir === undefined || workdir === "" || workdir === ".") return directory.workspace;
  return workdir.startsWith("/") ? workdir : `${directory.workspace}/${workdir}`;
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    // Whatever the reason, the job could not start there either.
    return false;
  }
}
