/**
 * The runner under test: its own daemon, which starts the agent beside this file.
 *
 * @module
 */
import { runDaemon } from "../../../../cmd/runner/commands/daemon.ts";
import { runProgram } from "../../../../cmd/shared/run_program.ts";

if (import.meta.main) {
  Deno.exitCode = await runProgram("cicd-runner", () => runDaemon(Deno.args.slice(1)));
}
