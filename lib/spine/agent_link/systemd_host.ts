/**
 * Runs agents as units of the service manager: socket-activated template instances, or services that
 * the user wrote.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import type { UserManager } from "@lib/foundations/systemd/manager.ts";
import {
  agentServiceName,
  agentSocketName,
  type UnitName,
} from "@lib/foundations/systemd/unit_name.ts";
import { faultOfUnit } from "@lib/foundations/systemd/unit_state.ts";

/** The part of the service manager that starts agents. */
export type AgentUnits =
  & Pick<UserManager, "hasUnitFile" | "startUnit" | "resetFailed" | "readState">
  & AsyncDisposable;

/** Options for {@linkcode SystemdAgentHost}. */
export interface SystemdAgentHostOptions {
  readonly socketPath: AgentHost["socketPath"];
  /** Connects to the service manager. */
  readonly connect: (signal: AbortSignal) => Promise<AgentUnits>;
  /** Resolves with `true` if a process listens on the socket. */
  readonly answers: (path: string) => Promise<boolean>;
  /** Starts the agents that have no unit; absent: such an agent cannot start. */
  readonly otherwise?: AgentHost;
  readonly clock: Clock;
}

/** Time within which a service without a socket unit must listen. */
const LISTEN_MS = 20_000;
/** Interval between two checks of the socket of a starting service. */
const CHECK_MS = 50;

/**
 * Starts the agents' sockets; the first connection starts the agent. The connection to the manager is only open while a
 * socket is started, which happens once per project and boot.
 */
export class SystemdAgentHost implements AgentHost {
  readonly kind: AgentHost["kind"];
  readonly socketPath: AgentHost["socketPath"];
  readonly #options: SystemdAgentHostOptions;

  constructor(options: SystemdAgentHostOptions) {
    this.kind = options.otherwise?.kind ?? "systemd";
    this.socketPath = options.socketPath;
    this.#options = options;
  }

  async ensureListening(project: ProjectName, signal: AbortSignal): Promise<void> {
    const { otherwise } = this.#options;
    await using manager = await this.#connect(signal);
    // Only where agents need no service manager.
    if (manager === undefined) return await otherwise?.ensureListening(project, signal);
    const socket = agentSocketName(project);
    const service = agentServiceName(project);
    if (await manager.hasUnitFile(socket, signal)) {
      // Repeated failures of the agent leave both units failed; a new job deserves a new try.
      await start(manager, socket, [service, socket], signal);
    } else if (await manager.hasUnitFile(service, signal)) {
      await start(manager, service, [service], signal);
      await this.#listening(project, signal);
    } else if (otherwise !== undefined) {
      await otherwise.ensureListening(project, signal);
    } else {
      throw unavailable(
        `Cannot start ${socket}: systemd has no such unit; run cicd-runner install`,
      );
    }
  }

  async faultOf(project: ProjectName, signal: AbortSignal): Promise<string | undefined> {
    await using manager = await this.#connect(signal);
    if (manager === undefined) return undefined;
    const service = agentServiceName(project);
    const units = [service, agentSocketName(project)];
    const states = await Promise.all(units.map((unit) => manager.readState(unit, signal)));
    const faults = units.map((unit, at) => states[at] && faultOfUnit(unit, states[at]))
      .filter((fault) => fault !== undefined);
    if (faults.length === 0) return undefined;
    return `${faults.join("; ")}; see 'journalctl --user -u ${service}'`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.otherwise?.[Symbol.asyncDispose]();
  }

  /** @returns `undefined` if there is no bus, and agents can do without. */
  async #connect(signal: AbortSignal): Promise<AgentUnits | undefined> {
    try {
      return await this.#options.connect(signal);
    } catch (error) {
      signal.throwIfAborted();
      if (this.#options.otherwise === undefined) throw error;
      return undefined;
    }
  }

  /** A service without a socket unit may be started before it listens. */
  async #listening(project: ProjectName, signal: AbortSignal): Promise<void> {
    const { answers, clock } = this.#options;
    const path = this.socketPath(project);
    const deadline = clock.now() + LISTEN_MS;
    while (!await answers(path)) {
      if (clock.now() > deadline) {
        throw unavailable(
          `Cannot reach ${agentServiceName(project)}: it does not listen on ${path} after ` +
            `${LISTEN_MS} ms`,
        );
      }
      await clock.sleep(CHECK_MS, { signal });
    }
  }
}

async function start(
  manager: AgentUnits,
  unit: UnitName,
  failed: readonly UnitName[],
  signal: AbortSignal,
): Promise<void> {
  let result = await manager.startUnit(unit, signal);
  if (result !== "done") {
    for (const name of failed) await manager.resetFailed(name, signal);
    result = await manager.startUnit(unit, signal);
  }
  if (result === "done") return;
  throw unavailable(
    `Cannot start ${unit}: systemd reports "${result}"; see 'systemctl --user status ${unit}'`,
  );
}

function unavailable(message: string): CicdError {
  return new CicdError("agent_unavailable", message, { retryAfterMs: 1_000 });
}
