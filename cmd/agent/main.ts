/**
 * Entry of `cicd-agent`.
 *
 * @module
 */
import { exitCodeFor } from "../shared/report_failure.ts";
import { runAgent } from "./commands/agent.ts";

if (import.meta.main) {
  try {
    Deno.exitCode = await runAgent(Deno.args);
  } catch (thrown) {
    Deno.exitCode = exitCodeFor("cicd-agent", thrown);
  }
}
