/**
 * Which boot of the machine this is.
 *
 * @module
 */

/** Names this boot; empty where the kernel does not tell, and then every boot seems the same. */
export function readBootId(): string {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
