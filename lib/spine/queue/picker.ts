/**
 * Asks the store for the jobs that may start now, beside those that are under way.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { Changes } from "@lib/spine/queue/job_changes.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import { ProjectTurns } from "@lib/spine/queue/project_turns.ts";
import { ALL_PROJECTS } from "@lib/spine/queue/queue_queries.ts";
import { countByProject, type Pick as Picked, pickJobs } from "@lib/spine/queue/scheduler.ts";
import { queuedReason } from "@lib/spine/queue/waiting.ts";

/** The part of the configuration that the loop reads again at every turn. */
export interface DispatchLimits {
  readonly maxRunning: number;
  /** Projects that may run jobs at the same time. */
  readonly maxProjects: number;
  readonly maxRunningOf: (project: ProjectName) => number;
  /** Time for the agent to answer for a new attempt. */
  readonly startTimeoutMs: number;
  /** Time for the agent to take the request to stop an attempt. */
  readonly stopTimeoutMs: number;
}

/** Options for {@linkcode Picker}. */
export interface PickerOptions {
  readonly store: Pick<JobStore, "queuedCount" | "intakeModes" | "candidates">;
  readonly limits: () => DispatchLimits;
  readonly clock: Clock;
}

/** Picks jobs, and remembers whose turn it was. */
export class Picker {
  readonly #options: PickerOptions;
  readonly #turns = new ProjectTurns();

  constructor(options: PickerOptions) {
    this.#options = options;
  }

  /** Picks the jobs that may start beside those that are under way. */
  pick(underWay: readonly Job[]): readonly Picked[] {
    const { store, clock, limits } = this.#options;
    const { maxRunning, maxProjects, maxRunningOf } = limits();
    const running = underWay.length;
    if (running >= maxRunning || store.queuedCount() === 0) return [];
    const modes = store.intakeModes();
    if (modes.get(ALL_PROJECTS) === "paused") return [];
    const picks = pickJobs(store.candidates(clock.now(), maxRunning - running), {
      running,
      maxRunning,
      inFlight: countByProject(underWay),
      maxProjects,
      maxRunningOf,
      isPaused: (project) => modes.get(project) === "paused",
      lastTurnOf: (project) => this.#turns.lastOf(project),
    });
    for (const { project } of picks) this.#turns.note(project);
    return picks;
  }

  /** Notes that a job of the project starts without having been picked. */
  noteTurn(project: ProjectName): void {
    this.#turns.note(project);
  }

  /** Returns why a queued job waits; `undefined` if only for its turn. */
  reason(job: Job, underWay: readonly Job[]): string | undefined {
    const { store, clock, limits } = this.#options;
    const under = { underWay, inFlight: countByProject(underWay) };
    return queuedReason(job, { ...limits(), ...under, store, now: clock.now() });
  }
}

/** Returns true if a transaction's changes end an attempt. */
export function freesPlace(changes: Changes): boolean {
  return changes.some(([job, before]) => isUnderWay(before) && !isUnderWay(job));
}

/** Returns the jobs whose attempts are under way after a transaction's changes. */
export function underWayAfter(before: readonly Job[], changes: Changes): readonly Job[] {
  if (changes.length === 0) return before;
  const jobs = new Map<JobId, Job>(before.map((job) => [job.id, job]));
  for (const [job] of changes) {
    if (isUnderWay(job)) jobs.set(job.id, job);
    else jobs.delete(job.id);
  }
  return [...jobs.values()];
}

function isUnderWay(job: Job | undefined): boolean {
  return job?.state === "starting" || job?.state === "running";
}
