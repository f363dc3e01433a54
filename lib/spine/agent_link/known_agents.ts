/**
 * The runner's knowledge of the agents: which may be alive, and which do not answer.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { type Clock, toRfc3339 } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";

/** An agent that does not answer, or cannot do its work. */
export interface AgentProblem {
  readonly project: ProjectName;
  readonly reason: string;
  /** When it was first noticed, in RFC 3339. */
  readonly since: string;
}

/** Options for {@linkcode KnownAgents}. */
export interface KnownAgentsOptions {
  /** Returns why an agent does not run, as far as its supervisor knows. */
  readonly faultOf: (project: ProjectName, signal: AbortSignal) => Promise<string | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An agent that may be alive. */
interface LiveAgent {
  attempts: number;
  /** When its last attempt ended. */
  usedAt: number;
}

/** Time for an idle agent to notice that it is idle, and to exit. */
const EXIT_MS = 5_000;
/** Time for the service manager to give a reason. */
const ASK_MS = 2_000;
/** Time after which it is asked why an agent has not answered. */
const LATE_MS = 2_000;
/** Number of problems that are remembered; the oldest is forgotten first. */
const MAX_PROBLEMS = 256;

/** The agents that the runner has used. */
export class KnownAgents {
  /** The agents that may be alive; the one whose last attempt began first comes first. */
  readonly #live = new Map<ProjectName, LiveAgent>();
  readonly #problems = new Map<ProjectName, AgentProblem>();
  readonly #options: KnownAgentsOptions;

  constructor(options: KnownAgentsOptions) {
    this.#options = options;
  }

  /** Counts an attempt of an agent until it is disposed of. */
  use(project: ProjectName): Disposable {
    const agent = this.#live.get(project) ?? { attempts: 0, usedAt: 0 };
    agent.attempts++;
    this.#live.delete(project);
    this.#live.set(project, agent);
    return {
      [Symbol.dispose]: () => {
        agent.attempts--;
        agent.usedAt = this.#options.clock.now();
      },
    };
  }

  /** Records that an agent has answered. */
  answered(project: ProjectName): void {
    this.#problems.delete(project);
    const usedAt = this.#options.clock.now();
    if (!this.#live.has(project)) this.#live.set(project, { attempts: 0, usedAt });
  }

  /** Records that an agent does not answer; returns the supervisor's reason, or `message`. */
  async failed(project: ProjectName, message: string, signal: AbortSignal): Promise<string> {
    const { faultOf, clock, log } = this.#options;
    const since = this.#problems.get(project)?.since ?? toRfc3339(clock.now());
    this.#problems.set(project, { project, reason: message, since });
    const [oldest] = this.#problems.keys();
    if (this.#problems.size > MAX_PROBLEMS && oldest !== undefined) this.#problems.delete(oldest);
    using deadline = withDeadline(signal, ASK_MS, "the reason why an agent does not run");
    try {
      const reason = await raceAbort(faultOf(project, deadline), deadline) ?? message;
      if (this.#problems.has(project)) this.#problems.set(project, { project, reason, since });
      return reason;
    } catch (error) {
      signal.throwIfAborted();
      log.debug("Cannot ask why an agent does not run", { project, error });
      return message;
    }
  }

  /** Finds out and records why an agent does not answer, until `signal` aborts. */
  async whileLate(
    project: ProjectName,
    signal: AbortSignal,
    onWaiting: (reason: string) => void = () => {},
  ): Promise<void> {
    const { clock } = this.#options;
    const message = `it has not answered since ${toRfc3339(clock.now())}`;
    try {
      while (true) {
        await clock.sleep(LATE_MS, { signal });
        onWaiting(await this.failed(project, message, signal));
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Returns the agents that did not answer, or could not do their work, when last asked. */
  problems(): readonly AgentProblem[] {
    return [...this.#problems.values()];
  }

  /**
   * Forgets idle agents beyond `maxAgents` and returns those that may be alive.
   *
   * @param idleExitMs Idleness after which an agent exits by itself; 0 for never.
   */
  takeIdle(maxAgents: number, idleExitMs: number): readonly ProjectName[] {
    const taken: ProjectName[] = [];
    for (const [project, { attempts, usedAt }] of [...this.#live]) {
      if (this.#live.size <= maxAgents) break;
      if (attempts > 0) continue;
      this.#live.delete(project);
      // A question would start it again behind a socket of the service manager.
      const hasExited = idleExitMs > 0 && this.#options.clock.now() - usedAt > idleExitMs + EXIT_MS;
      if (!hasExited) taken.push(project);
    }
    return taken;
  }
}
