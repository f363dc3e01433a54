/**
 * Reads the numbers of jobs, which the database keeps as jobs change: nothing is counted.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import type { Database } from "@lib/foundations/store/database.ts";
import type { JobState } from "@lib/spine/jobs/model.ts";
import { integer, projectIn, stateIn } from "@lib/spine/queue/job_row.ts";

/** The number of jobs of a project in a state; at least one. */
export interface StateCount {
  readonly project: ProjectName;
  readonly state: JobState;
  readonly count: number;
}

/** Returns the number of jobs in each state, by project. */
export function countsByState(db: Database): readonly StateCount[] {
  return db.all("SELECT project, state, jobs FROM job_counts ORDER BY project, state").map(
    (row) => ({ project: projectIn(row), state: stateIn(row), count: integer(row, "jobs") }),
  );
}

/** Returns the number of jobs in a state, by project. */
export function countsIn(db: Database, state: JobState): ReadonlyMap<ProjectName, number> {
  const rows = db.all("SELECT project, jobs FROM job_counts WHERE state = ?", state);
  return new Map(rows.map((row) => [projectIn(row), integer(row, "jobs")]));
}

/** Returns the number of jobs in these states. */
export function countIn(db: Database, ...states: readonly JobState[]): number {
  return states.flatMap((state) => [...countsIn(db, state).values()])
    .reduce((sum, count) => sum + count, 0);
}
