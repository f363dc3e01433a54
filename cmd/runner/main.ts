/**
 * Entry of `cicd-runner`.
 *
 * @module
 */
import { runProgram } from "../shared/run_program.ts";

if (import.meta.main) {
  Deno.exitCode = await runProgram("cicd-runner", () => main(Deno.args));
}

/** Loads only the code of the command: a daemon's start must not wait for the rest. */
async function main([command, ...rest]: readonly string[]): Promise<number> {
  if ((command === "daemon" || command === "agent") && asksForHelp(rest)) {
    return await (await import("./commands/cli.ts")).runCli(["help", command]);
  }
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

function asksForHelp(args: readonly string[]): boolean {
  return args.includes("--help") || args.includes("-h");
}
