/**
 * What is dropped at a log's size cap, and how readers learn of it.
 *
 * `log.capped` holds the number of bytes dropped, in decimal. It exists before
 * the first byte is dropped. The number is a lower bound: a job writes straight
 * to the file, so what it adds between a look and the cut is gone uncounted.
 *
 * @module
 */
import { formatSize } from "@lib/core/size.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";

/** Reads the bytes dropped at the cap; `undefined` if the cap was not reached. */
export async function readCapped(directory: AttemptDirectory): Promise<number | undefined> {
  try {
    return parseCapped(await Deno.readTextFile(directory.logCapped));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes the bytes dropped at the cap, replacing the file in one step. */
export async function writeCapped(
  directory: AttemptDirectory,
  droppedBytes: number,
): Promise<void> {
  const temporary = `${directory.logCapped}.tmp`;
  await Deno.writeTextFile(temporary, `${droppedBytes}\n`, { mode: 0o600 });
  await Deno.rename(temporary, directory.logCapped);
}

/** The number in `log.capped`; a damaged file still says that the cap was reached. */
export function parseCapped(text: string): number {
  const match = /^(\d{1,15})\n?$/.exec(text);
  return match === null ? 0 : Number(match[1]);
}

/** The line that ends a log cut at its cap; it has no place in the log's offsets. */
export function cappedLine(maxBytes: number, droppedBytes: number): string {
  const dropped = droppedBytes === 0 ? "further" : `at least ${droppedBytes}`;
  return `[cicd-toolkit] log limit ${formatSize(maxBytes)} reached: ${dropped} bytes dropped\n`;
}
