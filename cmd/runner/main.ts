/**
 * Entry of `cicd-runner`.
 *
 * Commands that ask a running runner start without the rest of the program, which has a bundle of
 * its own: each module that this file imports costs each of them time.
 *
 * @module
 */
import { runQuick } from "./quick.ts";

if (import.meta.main) {
  Deno.exitCode = await runQuick(Deno.args) ??
    await (await import("./all_commands.ts")).runAny(Deno.args);
}
