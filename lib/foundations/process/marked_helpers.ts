/**
 * Helper programs that can be found again when their parent was killed.
 *
 * A program in a process group of its own goes on when its parent dies by SIGKILL, as nobody is
 * left to end it. Each helper carries a mark in its environment, and so do its children; whoever
 * takes over looks for the mark.
 *
 * @module
 */
import type { RunCommand } from "@lib/foundations/process/run_command.ts";

/** The variable that holds the mark. */
const MARK = "CICD_HELPER_OF";

/** Runs programs as `run` does, with a mark. */
export function marked(run: RunCommand, mark: string): RunCommand {
  return (argv, options) => run(argv, { ...options, env: { ...options.env, [MARK]: mark } });
}

/**
 * Ends every process of this account that carries a mark; to be called where none of one's own
 * can be alive yet.
 *
 * Only where the system tells the environment of processes (Linux); elsewhere helpers end by
 * themselves.
 *
 * @returns How many were ended.
 */
export function endMarked(mark: string): number {
  let ended = 0;
  for (const pid of processes()) {
    if (!environment(pid).includes(`${MARK}=${mark}`)) continue;
    try {
      Deno.kill(pid, "SIGKILL");
      ended++;
    } catch (error) {
      // It ended by itself at the same moment.
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
    // Gone, or another account's: none of ours.
    return [];
  }
}
