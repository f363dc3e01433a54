/**
 * One daemon per state folder.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/**
 * Takes the state folder for this process until disposed, or until it dies.
 *
 * @throws {CicdError} `store_locked` if another process holds it.
 */
export function lockState(stateDir: string): Disposable {
  const path = `${stateDir}/runner.lock`;
  const file = Deno.openSync(path, { create: true, read: true, write: true, mode: 0o600 });
  if (!file.tryLockSync(true)) {
    const owner = new TextDecoder().decode(readAll(file)).trim();
    file.close();
    throw new CicdError(
      "store_locked",
      `Cannot use state folder "${stateDir}": another cicd-runner${
        /^\d+$/.test(owner) ? ` (pid ${owner})` : ""
      } owns it; stop that one, or choose another folder with --state-dir`,
    );
  }
  file.truncateSync();
  file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
  let held = true;
  return {
    [Symbol.dispose]() {
      if (!held) return;
      held = false;
      file.close();
    },
  };
}

function readAll(file: Deno.FsFile): Uint8Array {
  const bytes = new Uint8Array(32);
  return bytes.subarray(0, file.readSync(bytes) ?? 0);
}
