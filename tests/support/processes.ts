/**
 * What runs on this machine, as `/proc` tells.
 *
 * @module
 */

/** Processes other than this one whose arguments hold all of `words`. */
export function processesWith(...words: readonly string[]): readonly number[] {
  return processes().filter((pid) => {
    const line = readOf(pid, "cmdline");
    return words.every((word) => line.includes(word));
  });
}

/** Arguments and environments of all processes other than this one, as far as they may be read. */
export function everythingInProc(): string {
  return processes().map((pid) => readOf(pid, "cmdline") + readOf(pid, "environ")).join("\n");
}

function processes(): readonly number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name))
    .filter((pid) => Number.isInteger(pid) && pid !== Deno.pid);
}

function readOf(pid: number, file: "cmdline" | "environ"): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${file}`).replaceAll("\0", " ");
  } catch {
    // It ended meanwhile, or is another account's.
    return "";
  }
}

/**
 * Page faults of the children of this process that have ended and were waited for; every process has
 * some, so it stays the same while none was started.
 */
export function reapedFaults(): number {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  return Number(stat.slice(stat.lastIndexOf(") ") + 2).split(" ")[8]);
}
