/**
 * All that `cicd-agent` does.
 *
 * @module
 */
import { keepCode } from "../shared/kept_code.ts";
import { runProgram } from "../shared/run_program.ts";
import { runAgent } from "./commands/agent.ts";

/** Runs the program. @returns The exit code. */
export function runWhole(args: readonly string[]): Promise<number> {
  return runProgram("cicd-agent", async () => {
    const code = await runAgent(args);
    keepCode({ isExit: true });
    return code;
  });
}
