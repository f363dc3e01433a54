/**
 * Entry of `cicd-agent`.
 *
 * @module
 */
import { toCicdError } from "@lib/core/errors.ts";
import { runAgent } from "./commands/agent.ts";

if (import.meta.main) {
  try {
    Deno.exitCode = await runAgent(Deno.args);
  } catch (thrown) {
    const error = toCicdError(thrown);
    console.error(`cicd-agent: ${error.message}`);
    for (const { path, message } of error.issues) console.error(`  ${path}: ${message}`);
    if (error.code === "internal") console.error(thrown);
    Deno.exitCode = error.entry.exitCode;
  }
}
