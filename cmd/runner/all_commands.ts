/**
 * All that `cicd-runner` does.
 *
 * @module
 */
import { runProgram } from "../shared/run_program.ts";

/** Runs any command line. @returns The exit code. */
export function runAny(args: readonly string[]): Promise<number> {
  return runProgram("cicd-runner", () => dispatch(args));
}

/** Loads only the code of the command: a daemon's start must not wait for the rest. */
async function dispatch(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
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
      return await (await import("./commands/cli.ts")).runCli(args);
  }
}

function asksForHelp(args: readonly string[]): boolean {
  return args.includes("--help") || args.includes("-h");
}
