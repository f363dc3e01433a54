/**
 * One daemon per directory.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";

/** Whose directory is locked. */
export interface DirectoryLock {
  /** Holds the lock's file. */
  readonly directory: string;
  /** Such as `cicd-runner`; the file is named after it. */
  readonly program: string;
  /** What to do about it, for the message. */
  readonly remedy: string;
}

/**
 * Takes the state directory for this runner until disposed, or until it dies.
 *
 * @throws {CicdError} `store_locked` if another process holds it, `io_failed` if the file cannot
 * be made.
 */
export function lockState(stateDir: string): Disposable {
  return lockDirectory({
    directory: stateDir,
    program: "cicd-runner",
    remedy: "stop that one, or choose another directory with --state-dir",
  });
}

/** As {@linkcode lockState}, for any program and directory. */
export function lockDirectory({ directory, program, remedy }: DirectoryLock): Disposable {
  const file = openLock(`${directory}/${program}.lock`);
  if (!file.tryLockSync(true)) {
    const owner = readStart(file);
    file.close();
    throw new CicdError(
      "store_locked",
      `Cannot use directory "${directory}": another ${program}${
        /^\d+$/.test(owner) ? ` (pid ${owner})` : ""
      } owns it; ${remedy}`,
    );
  }
  tellOwner(file);
  let held = true;
  return {
    [Symbol.dispose]() {
      if (!held) return;
      held = false;
      file.close();
    },
  };
}

function openLock(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { create: true, read: true, write: true, mode: 0o600 });
  } catch (error) {
    throw new CicdError("io_failed", `Cannot use lock file "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The pid is for people; the lock holds without it, for example on a full disk. */
function tellOwner(file: Deno.FsFile): void {
  try {
    file.truncateSync();
    file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

function readStart(file: Deno.FsFile): string {
  const bytes = new Uint8Array(32);
  return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0)).trim();
}
