/**
 * Agents as child processes, where there is no service manager.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";

/** Starts an agent that listens on a socket, in a session of its own. */
export type SpawnAgent = (project: ProjectName, socketPath: string) => SpawnedAgent;

/** A started agent. */
export interface SpawnedAgent {
  /** Resolves with the exit code when it ends. */
  readonly exited: Promise<number>;
}

/** Options for {@linkcode ChildAgentHost}. */
export interface ChildAgentHostOptions {
  readonly socketPath: (project: ProjectName) => string;
  readonly spawn: SpawnAgent;
  /** Whether somebody listens on a socket; `answers` of `lib/foundations/http/socket_path.ts`. */
  readonly answers: (path: string) => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long an agent may take to listen. */
const START_DEADLINE_MS = 20_000;
/** Between two looks at the socket of an agent that is starting. */
const LOOK_MS = 15;

/**
 * Starts agents on demand. They outlive this process, as their jobs must, and end by themselves
 * when they are idle.
 */
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
      // Of use to everyone who waits, so it ends by its own deadline, not with the first of them.
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
    let child: SpawnedAgent;
    try {
      child = spawn(project, path);
    } catch (error) {
      throw new CicdError(
        "agent_unavailable",
        `Cannot start the agent of "${project}": ${messageOf(error)}`,
        { cause: error, retryAfterMs: 1_000 },
      );
    }
    let exitCode: number | undefined;
    void child.exited.then((code) => {
      exitCode = code;
      log.debug("Agent exited", { project, exitCode: code });
    });
    const deadline = clock.now() + START_DEADLINE_MS;
    while (!await answers(path)) {
      if (exitCode !== undefined || clock.now() > deadline) {
        throw new CicdError(
          "agent_unavailable",
          `Cannot start the agent of "${project}": ${
            exitCode === undefined
              ? `it does not listen after ${START_DEADLINE_MS} ms`
              : `it exited with code ${exitCode}; its messages are on standard error`
          }`,
          { retryAfterMs: 1_000 },
        );
      }
      await clock.sleep(LOOK_MS, { signal });
    }
  }
}
