/**
 * One daemon per directory.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";

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
 * @throws {CicdError} `store_locked` if another process holds it, `io_failed` if the file cannot be
 * created.
 */
export function lockDirectory({ directory, program, remedy }: DirectoryLock): Disposable {
  const file = openLock(`${directory}/${program}.lock`);
  if (!file.tryLockSync(true)) {
    const bytes = new Uint8Array(32);
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
    return Deno.openSync(path, { create: true, read: true, write: true, mode: 0o600 });
  } catch (error) {
    throw new CicdError("io_failed", `Cannot use lock file "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Writes the pid for people; the lock holds without it, for example on a full disk. */
function writeOwner(file: Deno.FsFile): void {
  try {
    file.truncateSync();
    file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}
