/**
 * Why a job waits, for people.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { type Clock, toRfc3339 } from "@lib/core/clock.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import { ALL_PROJECTS } from "@lib/spine/queue/queue_queries.ts";

/** The facts about an attempt under way besides its state. */
export interface AttemptNotes {
  /** Why the agent does not answer now. */
  agent: string | undefined;
  /** When the agent fell silent. */
  agentSince: number;
  /** The step before or after the job that is under way. */
  doing: string | undefined;
  /** Its end, or a stop, that the runner cannot bring about now. */
  stuck: string | undefined;
}

/** The facts about a new attempt. */
export const NOTHING_NOTED: Readonly<AttemptNotes> = {
  agent: undefined,
  agentSince: 0,
  doing: undefined,
  stuck: undefined,
};

/** The reason while nothing else is known of an agent. */
export const SILENT = "it has not answered yet";

/** Returns why an attempt under way waits; `undefined` if its job just runs. */
export function attemptReason(job: Job, notes: AttemptNotes): string | undefined {
  const { agent, agentSince, doing, stuck } = notes;
  const reasons = [
    job.state === "starting"
      ? `waiting for the agent: ${agent ?? SILENT}`
      : agent === undefined
      ? doing
      : `the agent has been silent since ${toRfc3339(agentSince)}: ${agent}`,
    stuck,
  ];
  const said = reasons.filter((reason) => reason !== undefined).join("; ");
  return said === "" ? undefined : said;
}

/** The state of the queue, for {@linkcode queuedReason}. */
export interface QueueState {
  readonly store: Pick<JobStore, "intakeModes">;
  readonly now: number;
  /** The jobs whose attempts are under way. */
  readonly underWay: readonly Job[];
  readonly inFlight: ReadonlyMap<ProjectName, number>;
  readonly maxRunning: number;
  readonly maxProjects: number;
  readonly maxRunningOf: (project: ProjectName) => number;
}

/** Returns why a queued job waits; `undefined` if only for its turn. */
export function queuedReason(
  { spec, attempt, notBefore }: Job,
  { store, now, underWay, inFlight, maxRunning, maxProjects, maxRunningOf }: QueueState,
): string | undefined {
  const { project, concurrencyGroup: group } = spec;
  const modes = store.intakeModes();
  if (modes.get(ALL_PROJECTS) === "paused") return "the queue is paused";
  if (modes.get(project) === "paused") return "its project is paused";
  if (attempt > 0 && notBefore > now) return `the next attempt is due at ${toRfc3339(notBefore)}`;
  const holder = group === undefined
    ? undefined
    : underWay.find(({ spec }) => spec.project === project && spec.concurrencyGroup === group);
  if (holder !== undefined) {
    return `job ${holder.id} of its concurrency group "${group}" is running`;
  }
  if (underWay.length >= maxRunning) {
    return `${underWay.length} of ${maxRunning} jobs are running (queue.max_running)`;
  }
  const own = inFlight.get(project) ?? 0;
  const limit = maxRunningOf(project);
  if (own >= limit) return `${own} of ${limit} jobs of its project are running (max_running)`;
  if (own === 0 && inFlight.size >= maxProjects) {
    return `${inFlight.size} of ${maxProjects} projects have jobs running (queue.max_agents)`;
  }
  return undefined;
}

/** Options for {@linkcode ReasonWatch}. */
export interface ReasonWatchOptions {
  readonly store: Pick<JobStore, "inFlight" | "list">;
  readonly reasonOf: (job: Job) => string | undefined;
  /** Called with each job whose reason has changed. */
  readonly onWaiting: (job: Job) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Time between two looks at the reasons. */
const LOOK_MS = 1_000;
/** Number of queued jobs whose reasons are looked at: the newest. */
const MAX_QUEUED = 100;

/** Announces changed reasons of jobs under way, and of queued ones. */
export class ReasonWatch {
  readonly #options: ReasonWatchOptions;
  #noted = Promise.withResolvers<void>();
  #reasons: ReadonlyMap<JobId, string | undefined> = new Map();

  constructor(options: ReasonWatchOptions) {
    this.#options = options;
  }

  /** Tells that a reason may have changed. */
  note(): void {
    this.#noted.resolve();
  }

  /** Looks at the reasons once they may have changed, and not more often than once a second. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      await raceAbort(this.#noted.promise, signal);
      this.#noted = Promise.withResolvers();
      try {
        this.#look();
      } catch (error) {
        log.warning("Cannot look at the reasons why jobs wait", { error });
      }
      await clock.sleep(LOOK_MS, { signal });
    }
  }

  #look(): void {
    const { store, reasonOf, onWaiting } = this.#options;
    const reasons = new Map<JobId, string | undefined>();
    const queued = store.list({ states: ["queued"], limit: MAX_QUEUED }).jobs;
    for (const job of [...store.inFlight(), ...queued]) {
      const reason = reasonOf(job);
      reasons.set(job.id, reason);
      if (this.#reasons.get(job.id) !== reason) onWaiting(job);
    }
    this.#reasons = reasons;
  }
}
