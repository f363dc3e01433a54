/**
 * All that `cicd-agent` does.
 *
 * @module
 */
import { runProgram } from "../shared/run_program.ts";
import { runAgent } from "./commands/agent.ts";

/** Runs the program. @returns The exit code. */
export function runWhole(args: readonly string[]): Promise<number> {
  return runProgram("cicd-agent", () => runAgent(args));
}
