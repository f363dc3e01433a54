/**
 * Finds the program of a job as a shell would, before a unit is made for it:
 * systemd searches its own path, not the job's.
 *
 * @module
 */
import { accessSync, constants } from "node:fs";

/** What {@linkcode resolveProgram} found. */
export type ResolvedProgram =
  | { readonly kind: "found"; readonly path: string }
  /** Nothing of that name, exit code 127 in shells. */
  | { readonly kind: "missing" }
  /** Something of that name that cannot be executed, exit code 126 in shells. */
  | { readonly kind: "not_executable" };

/** The path searched when the job's environment has no `PATH`. */
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

/** Where to search. */
export interface SearchOptions {
  /** The job's `PATH`. */
  readonly path: string | undefined;
  /** The job's working directory, absolute; relative names start there. */
  readonly workdir: string;
}

/**
 * Resolves `argv[0]`: with a slash it is a path, without one it is searched.
 *
 * Synchronous, as each turn of the event loop would add to the job's start.
 */
export function resolveProgram(program: string, { path, workdir }: SearchOptions): ResolvedProgram {
  const candidates = program.includes("/")
    ? [program]
    : (path ?? DEFAULT_PATH).split(":").map((directory) =>
      `${directory === "" ? "." : directory}/${program}`
    );
  let seen = false;
  for (const candidate of candidates) {
    const absolute = candidate.startsWith("/") ? candidate : `${workdir}/${candidate}`;
    switch (examine(absolute, workdir)) {
      case "executable":
        return { kind: "found", path: absolute };
      case "other":
        seen = true;
        break;
      case "absent":
        break;
    }
  }
  return { kind: seen ? "not_executable" : "missing" };
}

function examine(path: string, workdir: string): "executable" | "other" | "absent" {
  try {
    if (!Deno.statSync(path).isFile) return "other";
  } catch {
    // Not there, not a directory on the way, not readable: execve would not get there either.
    return "absent";
  }
  if (!isExecutable(path)) return "other";
  const interpreter = interpreterOf(path);
  if (interpreter === undefined) return "executable";
  const absolute = interpreter.startsWith("/") ? interpreter : `${workdir}/${interpreter}`;
  return isExecutable(absolute) ? "executable" : "other";
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a `#!` line names; `undefined` if there is none, or none that can be read. */
function interpreterOf(path: string): string | undefined {
  const buffer = new Uint8Array(INTERPRETER_MAX_BYTES);
  let length: number | null;
  try {
    using file = Deno.openSync(path);
    length = file.readSync(buffer);
  } catch {
    // A program may be executable and not readable.
    return undefined;
  }
  const head = new TextDecoder().decode(buffer.subarray(0, length ?? 0));
  return /^#![ \t]*([^ \t\r\n]+)/.exec(head)?.[1];
}

/** As much of a file as the kernel looks at. */
const INTERPRETER_MAX_BYTES = 256;
