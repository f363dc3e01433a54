/**
 * Entry of `cicd-agent`.
 *
 * @module
 */
import { runProgram } from "../shared/run_program.ts";
import { runAgent } from "./commands/agent.ts";

if (import.meta.main) {
  Deno.exitCode = await runProgram("cicd-agent", () => runAgent(Deno.args));
}
