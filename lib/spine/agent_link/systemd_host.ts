/**
 * Runs agents as socket-activated template instances.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import { UserManager } from "@lib/foundations/systemd/manager.ts";
import { agentServiceName, agentSocketName } from "@lib/foundations/systemd/unit_name.ts";

/**
 * Starts the agents' sockets; the first connection starts the agent. The bus is only open while a
 * socket is started, which happens once per project and boot.
 */
export class SystemdAgentHost implements AgentHost {
  readonly kind = "systemd";
  readonly socketPath: AgentHost["socketPath"];
  readonly #env: Readonly<Record<string, string | undefined>>;

  /** @param options.env The environment that names the user bus. */
  constructor(options: {
    readonly socketPath: AgentHost["socketPath"];
    readonly env: Readonly<Record<string, string | undefined>>;
  }) {
    this.socketPath = options.socketPath;
    this.#env = options.env;
  }

  async ensureListening(project: ProjectName, signal: AbortSignal): Promise<void> {
    await using manager = await UserManager.connect(this.#env, signal);
    const socket = agentSocketName(project);
    let result = await manager.startUnit(socket, signal);
    if (result !== "done") {
      // Repeated failures of the agent leave both units failed; a new job deserves a new try.
      await manager.resetFailed(agentServiceName(project), signal);
      await manager.resetFailed(socket, signal);
      result = await manager.startUnit(socket, signal);
    }
    if (result !== "done") {
      throw new CicdError(
        "agent_unavailable",
        `Cannot start ${socket}: systemd reports "${result}"; see 'systemctl --user status ${socket}'`,
        { retryAfterMs: 1_000 },
      );
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
