/**
 * Entry of the daemon alone.
 *
 * Where programs are bundles on a shared runtime, the daemon has one of its
 * own: what a bundle holds stays in memory, and the daemon needs a third of
 * what the command line does.
 *
 * @module
 */
import { runDaemon } from "./commands/daemon.ts";
import { exitCodeFor } from "../shared/report_failure.ts";

if (import.meta.main) {
  try {
    Deno.exitCode = await runDaemon(Deno.args.slice(1));
  } catch (thrown) {
    Deno.exitCode = exitCodeFor("cicd-runner", thrown);
  }
}
