/**
 * The end of a setup log: whether it has come, and waiting for it.
 *
 * @module
 */
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { LogWatch } from "@lib/spine/logs/log_watcher.ts";

/** Whether nothing is added to the setup log of an attempt any more; look before its size. */
export function isSetupDone(directory: AttemptDirectory): boolean {
  try {
    Deno.statSync(directory.setupDone);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Resolves once nothing is added to the setup log any more.
 *
 * @param watch Watches the attempt's directory, which need not exist yet.
 * @throws The signal's reason when `signal` aborts, and when the watch ends.
 */
export async function waitForSetupDone(
  directory: AttemptDirectory,
  watch: LogWatch,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  for (;;) {
    const version = watch.version;
    if (isSetupDone(directory)) return;
    await watch.changed(version, signal);
  }
}
