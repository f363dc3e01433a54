/**
 * Calls the supervisor program.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { AttemptHandle, AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { ReadyProgram } from "@lib/spine/executors/job_program.ts";
import { SUPERVISOR_PROGRAM } from "@lib/spine/executors/supervisor.ts";
import { logFilesOf } from "@lib/spine/executors/directory_files.ts";

/** Variables that shells set by themselves. */
const SHELL_VARIABLES = ["PWD", "OLDPWD", "SHLVL", "_"] as const;

/**
 * Starts the supervisor of an attempt and waits until it stands over the job.
 *
 * An abort ends the wait, not the supervisor.
 *
 * @returns `exists` if another supervisor was first.
 * @throws {CicdError} `executor_failed` if nothing was begun.
 */
export async function beginSupervised(
  { ref, spec, env, secrets, directory }: AttemptRequest,
  { argv, workdir }: ReadyProgram,
  signal: AbortSignal,
): Promise<"started" | "exists"> {
  const given = { ...env, ...Object.fromEntries(secrets) };
  const [outputLog = "", errorLog = outputLog] = logFilesOf(directory, spec.output);
  const args = [
    directory.path,
    ref.jobId,
    String(ref.number),
    String(spec.timeoutMs / 1_000),
    String(spec.graceMs),
    outputLog,
    errorLog,
    SHELL_VARIABLES.filter((name) => given[name] === undefined).join(" "),
    ...argv,
  ];
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("/bin/sh", {
      args: ["-c", SUPERVISOR_PROGRAM, "supervisor", "run", ...args],
      cwd: workdir,
      clearEnv: true,
      env: given,
      detached: true,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    throw notBegun(ref.jobId, messageOf(error), error);
  }
  child.unref();
  const word = (await raceAbort(new Response(child.stdout).text(), signal)).trim();
  switch (word) {
    case "begun":
      return "started";
    case "exists":
      return "exists";
    default:
      throw notBegun(ref.jobId, "its supervisor ended at once; is the disk full?");
  }
}

/** Whether an attempt's supervisor lives. */
export async function isSupervised(
  { directory }: AttemptHandle,
  signal: AbortSignal,
): Promise<boolean> {
  return (await callSupervisor(["alive", directory.path], signal)) === 0;
}

/** Asks an attempt's supervisor to end the attempt; there need not be one. */
export async function stopSupervised({ directory }: AttemptHandle, signal: AbortSignal) {
  await callSupervisor(["stop", directory.path], signal);
}

/** Kills what is left of an attempt whose supervisor is dead. */
export async function sweep({ ref, directory }: AttemptHandle, signal: AbortSignal): Promise<void> {
  await callSupervisor(["sweep", directory.path, ref.jobId, String(ref.number)], signal);
}

async function callSupervisor(args: readonly string[], signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const { code } = await raceAbort(
    new Deno.Command("/bin/sh", {
      args: ["-c", SUPERVISOR_PROGRAM, "supervisor", ...args],
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output(),
    signal,
  );
  return code;
}

function notBegun(jobId: string, why: string, cause?: unknown): CicdError {
  return new CicdError("executor_failed", `Cannot begin job "${jobId}": ${why}`, { cause });
}
