/**
 * Helper programs that can be found again after their parent was killed.
 *
 * A program in a process group of its own survives the SIGKILL of its parent. Each helper and its
 * children carry a mark in their environment, by which the next process finds them.
 *
 * @module
 */
import type { RunCommand } from "@lib/foundations/process/run_command.ts";

/** The variable that holds the mark. */
const MARK = "CICD_HELPER_OF";

/** Returns a `run` that marks its programs. */
export function marked(run: RunCommand, mark: string): RunCommand {
  return (argv, options) => run(argv, { ...options, env: { ...options.env, [MARK]: mark } });
}

/**
 * Kills every process of this account that carries a mark; call it before starting helpers.
 *
 * Works only where the environment of processes is visible (Linux); elsewhere helpers end by
 * themselves.
 *
 * @returns The number of processes killed.
 */
export function endMarked(mark: string): number {
  let ended = 0;
  for (const pid of processes()) {
    if (!environment(pid).includes(`${MARK}=${mark}`)) continue;
    try {
      Deno.kill(pid, "SIGKILL");
      ended++;
    } catch (error) {
      // It has just ended by itself.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return ended;
}

function processes(): readonly number[] {
  try {
    return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Number.isInteger);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function environment(pid: number): readonly string[] {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
  } catch {
    // Gone, or of another account.
    return [];
  }
}
