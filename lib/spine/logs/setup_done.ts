/**
 * The end of a setup log: whether it has come, and waiting for it.
 *
 * @module
 */
import type { AttemptFolder } from "@lib/spine/jobs/attempt_folder.ts";
import type { LogWatch } from "@lib/spine/logs/log_watcher.ts";

/** Whether nothing is added to the setup log of an attempt any more; look before its size. */
export function isSetupDone(folder: AttemptFolder): boolean {
  try {
    Deno.statSync(folder.setupDone);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Resolves once nothing is added to the setup log any more.
 *
 * @param watch Watches the attempt's folder, which need not exist yet.
 * @throws The signal's reason when `signal` aborts, and when the watch ends.
 */
export async function waitForSetupDone(
  folder: AttemptFolder,
  watch: LogWatch,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  for (;;) {
    const version = watch.version;
    if (isSetupDone(folder)) return;
    await watch.changed(version, signal);
  }
}
