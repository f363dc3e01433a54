/**
 * Decides which queued jobs start now, without clock or store.
 *
 * Within a project the smallest rank starts first (priority with ageing, see `rankOf`). Among
 * projects the one with the fewest running jobs goes first, then the one that has waited longest
 * for a turn: a project's priorities order its own jobs and cannot displace other projects.
 *
 * @module
 */
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { Candidate, ProjectCandidates } from "@lib/spine/queue/queue_queries.ts";

/** The bounds of the choice. */
export interface SchedulingBounds {
  /** Jobs running now, over all projects. */
  readonly running: number;
  readonly maxRunning: number;
  /** The number of running jobs of each project that has any. */
  readonly inFlight: ReadonlyMap<ProjectName, number>;
  /** Projects that may run jobs at the same time. */
  readonly maxProjects: number;
  /** Returns how many jobs of a project may run at the same time. */
  readonly maxRunningOf: (project: ProjectName) => number;
  /** Returns true if a project's queue is paused. */
  readonly isPaused: (project: ProjectName) => boolean;
  /** Returns when a project last had a turn, on any growing scale; 0 for never. */
  readonly lastTurnOf: (project: ProjectName) => number;
}

/** A job to start. */
export interface Pick {
  readonly id: JobId;
  readonly project: ProjectName;
}

interface Contender {
  readonly project: ProjectName;
  readonly candidates: Candidate[];
  readonly groups: Set<string>;
  running: number;
  lastTurn: number;
}

/** Returns the number of jobs of each project that has any. */
export function countByProject(jobs: readonly Job[]): ReadonlyMap<ProjectName, number> {
  const counts = new Map<ProjectName, number>();
  for (const { spec: { project } } of jobs) counts.set(project, (counts.get(project) ?? 0) + 1);
  return counts;
}

/** Picks the jobs to start now, in order; never more than the bounds allow. */
export function pickJobs(
  projects: readonly ProjectCandidates[],
  bounds: SchedulingBounds,
): readonly Pick[] {
  const contenders = projects.filter(({ project }) => !bounds.isPaused(project))
    .map(({ project, running, candidates }): Contender => ({
      project,
      running,
      candidates: [...candidates],
      groups: new Set(),
      lastTurn: bounds.lastTurnOf(project),
    }));
  const picks: Pick[] = [];
  const inFlight = new Map(bounds.inFlight);
  const mayRun = ({ project }: Contender) =>
    inFlight.has(project) || inFlight.size < bounds.maxProjects;
  let turn = Math.max(0, ...contenders.map(({ lastTurn }) => lastTurn));
  while (bounds.running + picks.length < bounds.maxRunning) {
    const ready = contenders.filter((one) =>
      one.running < bounds.maxRunningOf(one.project) && nextCandidate(one) !== undefined
    );
    // A project that waits for another to finish would wait for ever beside full queues.
    const finishing = ready.every(mayRun) ? undefined : projectWithFewest(inFlight);
    const next = ready.filter((one) => mayRun(one) && one.project !== finishing).sort(byTurn)[0];
    const candidate = next === undefined ? undefined : nextCandidate(next);
    if (next === undefined || candidate === undefined) break;
    next.candidates.splice(next.candidates.indexOf(candidate), 1);
    if (candidate.group !== undefined) next.groups.add(candidate.group);
    next.running++;
    next.lastTurn = ++turn;
    inFlight.set(next.project, (inFlight.get(next.project) ?? 0) + 1);
    picks.push({ id: candidate.id, project: next.project });
  }
  return picks;
}

function nextCandidate({ candidates, groups }: Contender): Candidate | undefined {
  return candidates.find(({ group }) => group === undefined || !groups.has(group));
}

/** Returns the project with the fewest running jobs, always the same one of equals. */
function projectWithFewest(inFlight: ReadonlyMap<ProjectName, number>): ProjectName | undefined {
  const [first] = [...inFlight].sort(([a, m], [b, n]) => m - n || (a < b ? -1 : 1));
  return first?.[0];
}

function byTurn(a: Contender, b: Contender): number {
  return a.running - b.running || a.lastTurn - b.lastTurn ||
    (nextCandidate(a)?.rank ?? 0) - (nextCandidate(b)?.rank ?? 0);
}
