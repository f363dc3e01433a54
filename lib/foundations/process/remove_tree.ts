/**
 * Removes directories that a job has filled.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";

/** Limit of one removal; the next one continues where it ended. */
const TIMEOUT_MS = 10 * 60_000;

/**
 * Removes a directory and its content, if it exists.
 *
 * A job may nest directories deeper than a program's stack or the longest path allows, so `rm`
 * removes them in a process of its own, whose end harms nothing. It may also leave read-only
 * directories, as Go's module cache does; they are made writable first. Symbolic links are
 * removed, not followed.
 *
 * @throws {CicdError} `io_failed` if something remains, `deadline_exceeded` after ten minutes.
 */
export async function removeTree(path: string): Promise<void> {
  if (await removeSimple(path)) return;
  const absolute = path.startsWith("/") ? path : `./${path}`;
  if ((await run(["rm", "-rf", "--", absolute])).code === 0) return;
  await run(["chmod", "-R", "u+rwX", "--", absolute]);
  const { code, stderr } = await run(["rm", "-rf", "--", absolute]);
  if (code !== 0) {
    // In a sandbox, nice complains first, and goes on.
    const why = stderr.split("\n").find((line) => line.startsWith("rm: "))?.slice(0, 500);
    throw new CicdError("io_failed", `Cannot remove "${path}": ${why || `rm ended with ${code}`}`);
  }
}

/** Removes a file or an empty directory, which is the usual workspace; false if it cannot. */
async function removeSimple(path: string): Promise<boolean> {
  try {
    await Deno.remove(path);
    return true;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

/** Large trees take long, and starts of jobs go first. */
function run(argv: readonly string[]) {
  return runCommand(["nice", "-n", "10", ...argv], {
    timeoutMs: TIMEOUT_MS,
    maxBytes: 4_096,
    signal: new AbortController().signal,
  });
}
