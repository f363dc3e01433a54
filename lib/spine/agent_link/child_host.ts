/**
 * Runs agents as child processes, where there is no service manager.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";

/** A started agent. */
export interface SpawnedAgent {
  /** Resolves with the exit code. */
  readonly exited: Promise<number>;
}

/** Options for {@linkcode ChildAgentHost}. */
export interface ChildAgentHostOptions {
  readonly socketPath: (project: ProjectName) => string;
  /** Starts an agent that listens on a socket, in a session of its own. */
  readonly spawn: (project: ProjectName, socketPath: string) => SpawnedAgent;
  /** Resolves with `true` if a process listens on the socket. */
  readonly answers: (path: string) => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Time within which an agent must listen. */
const START_DEADLINE_MS = 20_000;
/** Interval between two checks of the socket of a starting agent. */
const CHECK_MS = 15;

/** Starts agents on demand. They outlive this process, as their jobs must, and exit when idle. */
export class ChildAgentHost implements AgentHost {
  readonly kind = "child";
  readonly #options: ChildAgentHostOptions;
  readonly #starting = new Map<ProjectName, Promise<void>>();
  readonly #disposed = new AbortController();

  constructor(options: ChildAgentHostOptions) {
    this.#options = options;
  }

  socketPath(project: ProjectName): string {
    return this.#options.socketPath(project);
  }

  async ensureListening(project: ProjectName, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    let starting = this.#starting.get(project);
    if (starting === undefined) {
      // Shared by all waiters, so it ends by its own deadline, not with the first of them.
      starting = this.#start(project, this.#disposed.signal)
        .finally(() => this.#starting.delete(project));
      this.#starting.set(project, starting);
    }
    await raceAbort(starting, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort(new DOMException("The runner ends", "AbortError"));
    await Promise.allSettled(this.#starting.values());
  }

  async #start(project: ProjectName, signal: AbortSignal): Promise<void> {
    const { clock, log, spawn, answers } = this.#options;
    const path = this.socketPath(project);
    if (await answers(path)) return;
    const failure = (state: string, cause?: unknown) =>
      new CicdError("agent_unavailable", `Cannot start the agent of "${project}": ${state}`, {
        cause,
        retryAfterMs: 1_000,
      });
    let child: SpawnedAgent;
    try {
      child = spawn(project, path);
    } catch (error) {
      // Trying again does not help.
      if (error instanceof CicdError && error.code === "agent_missing") throw error;
      throw failure(messageOf(error), error);
    }
    let exitCode: number | undefined;
    void child.exited.then((code) => {
      exitCode = code;
      log.debug("Agent exited", { project, exitCode: code });
    });
    const deadline = clock.now() + START_DEADLINE_MS;
    while (!await answers(path)) {
      if (exitCode !== undefined) {
        throw failure(`it exited with code ${exitCode}; its messages are on standard error`);
      }
      if (clock.now() > deadline) throw failure(`it does not listen after ${START_DEADLINE_MS} ms`);
      await clock.sleep(CHECK_MS, { signal });
    }
  }
}
