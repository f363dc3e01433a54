/**
 * Agents as socket-activated template instances.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import { UserManager } from "@lib/foundations/systemd/manager.ts";
import { agentServiceName, agentSocketName } from "@lib/foundations/systemd/unit_name.ts";

/** Options for {@linkcode SystemdAgentHost}. */
export interface SystemdAgentHostOptions {
  readonly socketPath: (project: ProjectName) => string;
  /** The environment that names the user bus. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Starts the agents' sockets; the first connection starts the agent. The bus is only held while
 * a socket is being started, which happens once per project and boot.
 */
export class SystemdAgentHost implements AgentHost {
  readonly kind = "systemd";
  readonly #options: SystemdAgentHostOptions;

  constructor(options: SystemdAgentHostOptions) {
    this.#options = options;
  }

  socketPath(project: ProjectName): string {
    return this.#options.socketPath(project);
  }

  async ensureListening(project: ProjectName, signal: AbortSignal): Promise<void> {
    await using manager = await UserManager.connect({ env: this.#options.env, signal });
    const socket = agentSocketName(project);
    let result = await manager.startUnit(socket, signal);
    if (result !== "done") {
      // An agent that kept failing leaves both units failed; a new job deserves a new try.
      await manager.resetFailed(agentServiceName(project), signal);
      await manager.resetFailed(socket, signal);
      result = await manager.startUnit(socket, signal);
    }
    if (result !== "done") {
      throw new CicdError(
        "agent_unavailable",
        `Cannot start ${socket}: systemd says "${result}"; see 'systemctl --user status ${socket}'`,
        { retryAfterMs: 1_000 },
      );
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
