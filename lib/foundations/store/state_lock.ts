/**
 * One daemon per directory.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";

const OWNER_BYTES = 32;

/** A lock of a directory. */
interface DirectoryLock {
  readonly directory: string;
  /** Such as `cicd-runner`; names the lock file. */
  readonly program: string;
  /** How to fix it, for the message. */
  readonly remedy: string;
}

/** Locks the state directory for this runner; see {@linkcode lockDirectory}. */
export function lockState(stateDir: string): Disposable {
  return lockDirectory({
    directory: stateDir,
    program: "cicd-runner",
    remedy: "stop that one, or choose another directory with --state-dir",
  });
}

/**
 * Locks a directory until disposed, or until the process dies.
 *
 * @throws {CicdError} `store_locked` if another process holds it, `store_unusable` if the file cannot
 * be created, `disk_full` if there is no room for it.
 */
export function lockDirectory({ directory, program, remedy }: DirectoryLock): Disposable {
  const file = openLock(`${directory}/${program}.lock`);
  if (!file.tryLockSync(true)) {
    const bytes = new Uint8Array(OWNER_BYTES);
    const owner = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0)).trim();
    file.close();
    const pid = /^\d+$/.test(owner) ? ` (pid ${owner})` : "";
    throw new CicdError(
      "store_locked",
      `Cannot use directory "${directory}": another ${program}${pid} owns it; ${remedy}`,
    );
  }
  writeOwner(file);
  const held = new DisposableStack();
  held.defer(() => file.close());
  return held;
}

function openLock(path: string): Deno.FsFile {
  try {
    const file = Deno.openSync(path, { create: true, read: true, write: true, mode: 0o600 });
    if (file.statSync().isFile) return file;
    // Reading its owner out of a FIFO would wait.
    file.close();
    throw new Error("it is not a file");
  } catch (error) {
    throw directoryFailure(`lock file "${path}"`, error);
  }
}

/**
 * Makes the error of a file or directory without which a program cannot start.
 *
 * @param what The thing and its path.
 * @returns `disk_full` if there is no room, which passes; `store_unusable` for the rest.
 */
export function directoryFailure(what: string, error: unknown): CicdError {
  return error instanceof Error && "code" in error && error.code === "ENOSPC"
    ? new CicdError("disk_full", `Cannot use ${what}: the disk is full; free some space`, {
      cause: error,
      retryAfterMs: 30_000,
    })
    : new CicdError(
      "store_unusable",
      `Cannot use ${what}: ${messageOf(error)}; give it, and the directory it is in, to this ` +
        `account (chown), with mode 0700 for directories, then start again`,
      { cause: error },
    );
}

/** Writes the pid for people; the lock holds without it, for example on a full disk. */
function writeOwner(file: Deno.FsFile): void {
  try {
    // Over the whole of an earlier one: to cut a file costs a start more than to fill it.
    file.writeSync(new TextEncoder().encode(`${Deno.pid}`.padEnd(OWNER_BYTES - 1) + "\n"));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}
