/**
 * Entry of `cicd-runner`.
 *
 * @module
 */
import { toCicdError } from "@lib/core/errors.ts";

if (import.meta.main) {
  try {
    Deno.exitCode = await main(Deno.args);
  } catch (thrown) {
    Deno.exitCode = report(thrown);
  }
}

/** Loads only what the command needs: a daemon's start must not wait for the rest. */
async function main([command, ...rest]: readonly string[]): Promise<number> {
  switch (command) {
    case "daemon":
      return await (await import("./commands/daemon.ts")).runDaemon(rest);
    case "--socket-activation":
      return await (await import("./commands/connection.ts")).runConnection(rest);
    case "agent":
      return await (await import("../agent/commands/agent.ts")).runAgent(rest);
    default:
      return await (await import("./commands/cli.ts")).runCli(Deno.args);
  }
}

function report(thrown: unknown): number {
  const error = toCicdError(thrown);
  console.error(`cicd-runner: ${error.message}`);
  for (const { path, message } of error.issues) console.error(`  ${path}: ${message}`);
  if (error.code === "internal") console.error(thrown);
  return error.entry.exitCode;
}
