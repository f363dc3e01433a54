/**
 * The boot of the machine.
 *
 * @module
 */

/** Returns the id of this boot; empty where the kernel has none, so that all boots look the same. */
export function readBootId(): string {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
