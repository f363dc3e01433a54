/**
 * The agent under test: it runs /bin/true in the place of every job, as invented jobs could do harm.
 *
 * @module
 */
import { runAgent } from "../../../../cmd/agent/commands/agent.ts";
import { runProgram } from "../../../../cmd/shared/run_program.ts";
import { SUPERVISOR_PROGRAM } from "@lib/spine/executors/supervisor.ts";

/** Place of the job's program among the arguments of the supervisor's `run`. */
const PROGRAM_AT = 16;

if (import.meta.main) {
  Deno.Command = HarmlessCommand();
  Deno.exitCode = await runProgram("cicd-agent", () => runAgent(Deno.args));
}

/** Returns a `Deno.Command` that starts nothing but supervisors, and these start `/bin/true`. */
function HarmlessCommand(): typeof Deno.Command {
  return class extends Deno.Command {
    constructor(program: string | URL, options: Deno.CommandOptions = {}) {
      const { args = [] } = options;
      const isSupervisor = program === "/bin/sh" && args[1] === SUPERVISOR_PROGRAM;
      super(isSupervisor ? program : "/bin/false", { ...options, args: harmless(args) });
    }
  };
}

function harmless(args: readonly string[]): string[] {
  return args[3] === "run" ? [...args.slice(0, PROGRAM_AT), "/bin/true"] : [...args];
}
