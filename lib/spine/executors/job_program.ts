/**
 * Resolves a job's work to a program with an absolute path, in a working directory.
 *
 * The search is that of a shell, and done before a unit is made: systemd searches its own path, not
 * the job's.
 *
 * @module
 */
import { accessSync, constants } from "node:fs";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { scriptArgv, shebangOf } from "@lib/spine/spec/script.ts";
import { CRLF_SHEBANG, type ExecFailureCode } from "@lib/spine/executors/result_record.ts";

/** A program to execute. */
export interface ReadyProgram {
  readonly kind: "ready";
  readonly argv: readonly [path: string, ...args: string[]];
  readonly workdir: string;
}

type JobProgram =
  | ReadyProgram
  | { readonly kind: "failed"; readonly exitCode: ExecFailureCode };

/** Finds the program of an attempt on disk. */
export function jobProgram(
  { spec, env, secrets, directory }: Pick<AttemptRequest, "spec" | "env" | "secrets" | "directory">,
): JobProgram {
  const workdir = workdirOf(spec, directory);
  if (!isDirectory(workdir)) return { kind: "failed", exitCode: 200 };
  const [name, ...args] = spec.work.kind === "command"
    ? spec.work.argv
    : scriptArgv(spec.work, directory.scriptFile);
  const found = resolveProgram(name ?? "", { path: secrets.get("PATH") ?? env.PATH, workdir });
  return typeof found === "string"
    ? { kind: "ready", argv: [found, ...args], workdir }
    : { kind: "failed", exitCode: found };
}

/** Returns the directory that a job starts in. */
export function workdirOf({ workdir = "" }: JobSpec, directory: AttemptDirectory): string {
  if (workdir === "" || workdir === ".") return directory.workspace;
  return workdir.startsWith("/") ? workdir : `${directory.workspace}/${workdir}`;
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    // Whatever the reason, the job could not start there.
    return false;
  }
}

/** Search path if the job's environment has no `PATH`. */
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

/**
 * Resolves `argv[0]`: with a slash it is a path, without one it is searched.
 *
 * Synchronous, as each turn of the event loop would delay the job's start.
 *
 * @returns The absolute path, or the exit code of shells: 127 if there is no such program, 126 if
 * it is not executable; {@linkcode CRLF_SHEBANG}.
 */
function resolveProgram(
  program: string,
  { path, workdir }: { readonly path: string | undefined; readonly workdir: string },
): string | ExecFailureCode {
  const candidates = program.includes("/")
    ? [program]
    : (path ?? DEFAULT_PATH).split(":").map((directory) =>
      `${directory === "" ? "." : directory}/${program}`
    );
  let seen: ExecFailureCode | undefined;
  for (const candidate of candidates) {
    const absolute = candidate.startsWith("/") ? candidate : `${workdir}/${candidate}`;
    switch (examine(absolute, workdir)) {
      case "executable":
        return absolute;
      case "other":
        seen ??= 126;
        break;
      case "crlf":
        seen ??= CRLF_SHEBANG;
        break;
      case "absent":
        break;
    }
  }
  return seen ?? 127;
}

function examine(path: string, workdir: string): "executable" | "other" | "crlf" | "absent" {
  try {
    if (!Deno.statSync(path).isFile) return "other";
  } catch {
    // Absent, unreadable, or below a file: execve would fail too.
    return "absent";
  }
  if (!isExecutable(path)) return "other";
  const interpreter = interpreterOf(path);
  if (interpreter === undefined) return "executable";
  if (interpreter.endsWith("\r")) return "crlf";
  const absolute = interpreter.startsWith("/") ? interpreter : `${workdir}/${interpreter}`;
  return isExecutable(absolute) ? "executable" : "other";
}

/** Tells if a file begins with a `#!` line that ends in CRLF. */
export function hasCrlfShebang(path: string): boolean {
  return isFile(path) && interpreterOf(path)?.endsWith("\r") === true;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns the interpreter of a `#!` line, with the CR of a line that ends in CRLF; `undefined` if
 * there is none, or it is unreadable.
 */
function interpreterOf(path: string): string | undefined {
  const buffer = new Uint8Array(INTERPRETER_MAX_BYTES);
  let length: number | null;
  try {
    using file = Deno.openSync(path);
    length = file.readSync(buffer);
  } catch {
    // A program may be executable but not readable.
    return undefined;
  }
  const head = new TextDecoder().decode(buffer.subarray(0, length ?? 0));
  const [interpreter = "", argument] = shebangOf(head) ?? [];
  const name = argument?.endsWith("\r") ? `${interpreter}\r` : interpreter;
  return name === "" ? undefined : name;
}

/** The part of a file that the kernel reads. */
const INTERPRETER_MAX_BYTES = 256;
