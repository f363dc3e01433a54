/**
 * How the runner gets an agent started.
 *
 * @module
 */
import { spawn } from "node:child_process";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import { ChildAgentHost, type SpawnedAgent } from "@lib/spine/agent_link/child_host.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { agentSocketPath } from "@lib/foundations/config/socket_paths.ts";
import { systemClock } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { answers } from "@lib/foundations/http/socket_path.ts";
import { toDaemonArgs } from "../shared/daemon_flags.ts";
import { ensurePrivateDirectory } from "../shared/directories.ts";
import { agentCommand } from "../shared/program_paths.ts";
import type { RunnerInput } from "./wire.ts";

type AgentHostInput = Pick<RunnerInput, "config" | "env" | "log" | "flags" | "underSystemd">;

/** The host that starts agents here: by their systemd sockets, or as children. */
export async function makeAgentHost(input: AgentHostInput): Promise<AgentHost> {
  const { config, env, log, flags } = input;
  const { agents, runtimeDir } = config.current.of(PROGRAM);
  const socketPath = (project: ProjectName) => agentSocketPath(runtimeDir, project);
  if (agents === "systemd" || (agents === "auto" && input.underSystemd)) {
    const { SystemdAgentHost } = await import("@lib/spine/agent_link/systemd_host.ts");
    return new SystemdAgentHost({ socketPath, env });
  }
  ensurePrivateDirectory(`${runtimeDir}/agents`);
  const command = agentCommand(Deno.execPath(), Deno.mainModule);
  return new ChildAgentHost({
    socketPath,
    answers,
    clock: systemClock,
    log,
    spawn: (project, path) =>
      spawnAgent([
        ...command,
        `--session-id=${project}`,
        `--listen=${path}`,
        ...toDaemonArgs(flags),
      ]),
  });
}

/** Starts an agent in a session of its own: it is to outlive this process. */
function spawnAgent([program = "", ...args]: readonly string[]): SpawnedAgent {
  const child = spawn(program, args, { detached: true, stdio: ["ignore", "ignore", "inherit"] });
  const exited = Promise.withResolvers<number>();
  child.once("error", () => exited.resolve(127));
  child.once("exit", (code) => exited.resolve(code ?? 128));
  child.unref();
  return { exited: exited.promise };
}
