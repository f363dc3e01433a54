/**
 * A machine of which the kernel shows what a test says.
 *
 * @module
 */
import type { FileSystem, MachineFiles } from "@lib/foundations/host/machine_files.ts";

/** Makes a machine of files and their text, and of file systems by path. */
export function fakeMachine(
  files: Readonly<Record<string, string>>,
  spaces: Readonly<Record<string, FileSystem>> = {},
): MachineFiles {
  return {
    read: (path) => files[path] ?? "",
    list(path) {
      const below = Object.keys(files).filter((each) => each.startsWith(`${path}/`));
      return [...new Set(below.map((each) => each.slice(path.length + 1).split("/")[0] ?? ""))];
    },
    space: (path) => spaces[path],
    memory: () => ({
      total: 8_000,
      free: 1_000,
      available: 2_000,
      buffers: 0,
      cached: 0,
      swapTotal: 500,
      swapFree: 400,
    }),
    load: () => [0.5, 1, 2],
    uptimeSeconds: () => 100,
  };
}
