/**
 * The kernel's limit of a Unix socket's path.
 *
 * @module
 */

/** Returns the longest path in bytes: `sun_path` less its NUL, which has 104 bytes on macOS. */
export function socketPathMax(): number {
  return Deno.build.os === "linux" ? 107 : 103;
}
