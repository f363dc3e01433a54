/**
 * Reads from the store for the scheduler: jobs that may start now in their order, intake modes.
 *
 * @module
 */
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import { integer, jobIdIn, numberOf, projectIn, text } from "@lib/spine/queue/job_row.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { MAX_RETRY_DELAY_MS } from "@lib/spine/jobs/state_machine.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** The first queued jobs of a project that wait for nothing but a free slot. */
export interface ProjectCandidates {
  readonly project: ProjectName;
  readonly running: number;
  readonly candidates: readonly Candidate[];
}

/** A queued job as the scheduler sees it. */
export interface Candidate {
  readonly id: JobId;
  /** Smaller starts earlier; see {@linkcode rankOf}. */
  readonly rank: number;
  readonly group?: string;
}

/** The mode in which a project, or all of them, take and start jobs. */
export type IntakeMode = "open" | "paused" | "draining";

/** The key of the mode that applies to all projects together. */
export const ALL_PROJECTS = "*";

/**
 * Returns a queued job's rank. Priority with ageing is linear in time, so the order of two jobs
 * never changes while they wait, and the rank can be an indexed column: one step of priority
 * counts as `ageingMs` of waiting.
 */
export function rankOf(job: Job, ageingMs: number): number {
  return job.createdAt - job.spec.priority * ageingMs;
}

/**
 * The delay before this attempt of a queued job, as `retryDelay` computes it. A job that would have
 * to wait longer was queued before the clock was set back.
 */
const DELAY_SQL = `CASE WHEN attempt = retry_base THEN 0 ELSE min(${MAX_RETRY_DELAY_MS},
  json_extract(spec, '$.retries.delayMs') * (1 << min(attempt - retry_base - 1, 32))) END`;

/** Returns the jobs that may start now, best first, for each project with queued work. */
export function queueCandidates(
  db: Database,
  { now, perProject }: { readonly now: number; readonly perProject: number },
): readonly ProjectCandidates[] {
  return db.all("SELECT DISTINCT project FROM jobs WHERE state = 'queued'").map((row) => {
    const project = projectIn(row);
    const running = numberOf(
      db,
      "SELECT count(*) AS n FROM jobs WHERE project = ? AND state IN ('starting', 'running')",
      project,
    ) ?? 0;
    const candidates = db.all(
      `SELECT id, rank, concurrency_group FROM jobs AS queued
       WHERE state = 'queued' AND project = ?
         AND (not_before <= ? OR not_before > ? + ${DELAY_SQL})
         AND (concurrency_group IS NULL OR NOT EXISTS (
           SELECT 1 FROM jobs AS open
           WHERE open.project = queued.project AND open.state IN ('starting', 'running')
             AND open.concurrency_group = queued.concurrency_group))
       ORDER BY rank, id LIMIT ?`,
      project,
      now,
      now,
      perProject,
    ).map((candidate): Candidate => {
      const group = candidate["concurrency_group"];
      return {
        id: jobIdIn(candidate),
        rank: integer(candidate, "rank"),
        ...(typeof group === "string" ? { group } : {}),
      };
    });
    return { project, running, candidates };
  });
}

/** Returns the modes that are not `open`, by project. */
export function readIntakeModes(db: Database): ReadonlyMap<string, IntakeMode> {
  return new Map(
    db.all("SELECT project, mode FROM intake").map((row) => {
      const mode = text(row, "mode");
      return [text(row, "project"), mode === "paused" || mode === "draining" ? mode : "open"];
    }),
  );
}

/** Stores a mode. */
export function writeIntakeMode(
  db: Database,
  project: ProjectName | typeof ALL_PROJECTS,
  mode: IntakeMode,
): void {
  if (mode === "open") db.run("DELETE FROM intake WHERE project = ?", project);
  else {
    db.run(
      "INSERT INTO intake (project, mode) VALUES (?, ?) ON CONFLICT DO UPDATE SET mode = excluded.mode",
      project,
      mode,
    );
  }
}
