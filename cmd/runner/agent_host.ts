/**
 * Starts agents for the runner.
 *
 * @module
 */
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import { ChildAgentHost, type SpawnedAgent } from "@lib/spine/agent_link/child_host.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { agentSocketPath } from "@lib/foundations/config/agent_socket.ts";
import { systemClock } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { answers } from "@lib/foundations/http/socket_path.ts";
import { agentCommand } from "@lib/features/install/program_paths.ts";
import { type DaemonFlags, toDaemonArgs } from "../shared/daemon_flags.ts";
import { ensurePrivateDirectory } from "../shared/directories.ts";
import { agentEnv } from "./agent_env.ts";
import { hasUserManager } from "../shared/program_log.ts";
import type { ConfigHolder } from "./config_holder.ts";

/** The parts of the runner that agents are started with. */
export interface AgentHostInput {
  readonly config: ConfigHolder;
  readonly flags: DaemonFlags;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** The service manager started this process. */
  readonly isService: boolean;
}

/**
 * Returns the host that starts agents: as units of systemd, or as children. Of itself it starts no
 * child for a project whose agent is a unit.
 */
export async function makeAgentHost(input: AgentHostInput): Promise<AgentHost> {
  const { env } = input;
  const { agents, runtimeDir } = input.config.current.of(PROGRAM);
  const onlyUnits = agents === "systemd" || (agents === "auto" && input.isService);
  if (!onlyUnits && (agents === "child" || !await sharesUnits(runtimeDir, env))) {
    return await makeChildHost(input);
  }
  const { SystemdAgentHost } = await import("@lib/spine/agent_link/systemd_host.ts");
  const { connectManager } = await import("@lib/foundations/systemd/connect_manager.ts");
  return new SystemdAgentHost({
    socketPath: (project) => agentSocketPath(runtimeDir, project),
    connect: (signal) => connectManager(env, signal),
    answers,
    clock: systemClock,
    ...(onlyUnits ? {} : { otherwise: await makeChildHost(input) }),
  });
}

/** Tells if the agents' units listen where this runner looks for its agents. */
async function sharesUnits(runtimeDir: string, env: AgentHostInput["env"]): Promise<boolean> {
  return runtimeDir === `${env["XDG_RUNTIME_DIR"]}/cicd-toolkit` && await hasUserManager(env);
}

async function makeChildHost(
  { config, env, log, flags }: AgentHostInput,
): Promise<ChildAgentHost> {
  const { runtimeDir } = config.current.of(PROGRAM);
  const socketPath = (project: ProjectName) => agentSocketPath(runtimeDir, project);
  ensurePrivateDirectory(`${runtimeDir}/agents`);
  // Loaded only here: most runners start no child.
  const { spawn } = await import("node:child_process");
  return new ChildAgentHost({
    socketPath,
    answers,
    clock: systemClock,
    log,
    spawn(project, path) {
      const command = agentCommand(Deno.execPath(), Deno.mainModule);
      const own = [`--session-id=${project}`, `--listen=${path}`];
      const childEnv = agentEnv(env, config.current);
      return spawnAgent(spawn, [...command, ...own, ...toDaemonArgs(flags)], childEnv);
    },
  });
}

/** Starts an agent in a session of its own, so that it outlives this process. */
function spawnAgent(
  spawn: typeof import("node:child_process").spawn,
  [program = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): SpawnedAgent {
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", "ignore", "inherit"],
    env,
  });
  const exited = Promise.withResolvers<number>();
  child.once("error", () => exited.resolve(127));
  child.once("exit", (code) => exited.resolve(code ?? 128));
  // A program that could not be executed has no process.
  if (child.pid !== undefined) child.unref();
  return { exited: exited.promise };
}
