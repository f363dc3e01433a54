/**
 * Entry of the daemon alone.
 *
 * Where programs are bundles on a shared runtime, the daemon has one of its own: a loaded bundle
 * stays in memory, and the daemon needs a third of the command line's.
 *
 * @module
 */
import { runDaemon } from "./commands/daemon.ts";
import { runProgram } from "../shared/run_program.ts";

if (import.meta.main) {
  Deno.exitCode = await runProgram("cicd-runner", () => runDaemon(Deno.args.slice(1)));
}
