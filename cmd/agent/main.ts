/**
 * Entry of `cicd-agent`.
 *
 * In the built program the rest is a file of its own, whose compiled code is kept between runs.
 *
 * @module
 */
if (import.meta.main) {
  Deno.exitCode = await (await import("./whole_agent.ts")).runWhole(Deno.args);
}
