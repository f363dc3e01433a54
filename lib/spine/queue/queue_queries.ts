/**
 * What the scheduler reads from the store: who may start now, in which order.
 *
 * @module
 */
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import { integer, requireJobId, requireProject, text } from "@lib/spine/queue/job_row.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** The first queued jobs of a project that nothing but a free place holds back. */
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

/**
 * A queued job's place. Priority with ageing is linear in time, so the order
 * of two jobs never changes while they wait, and the place can be an indexed
 * column: one step of priority counts as `ageingMs` of waiting.
 */
export function rankOf(job: Job, ageingMs: number): number {
  return job.createdAt - job.spec.priority * ageingMs;
}

/** For each project with queued work, the jobs that may start now, best first. */
export function queueHeads(
  db: Database,
  { now, perProject }: { readonly now: number; readonly perProject: number },
): readonly ProjectCandidates[] {
  return db.all("SELECT DISTINCT project FROM jobs WHERE state = 'queued'").map((row) => {
    const project = requireProject(text(row, "project"));
    const running = db.first(
      "SELECT count(*) AS n FROM jobs WHERE project = ? AND state IN ('starting', 'running')",
      project,
    );
    const candidates = db.all(
      `SELECT id, rank, concurrency_group FROM jobs AS queued
       WHERE state = 'queued' AND project = ? AND not_before <= ?
         AND (concurrency_group IS NULL OR NOT EXISTS (
           SELECT 1 FROM jobs AS open
           WHERE open.project = queued.project AND open.state IN ('starting', 'running')
             AND open.concurrency_group = queued.concurrency_group))
       ORDER BY rank, id LIMIT ?`,
      project,
      now,
      perProject,
    ).map((candidate): Candidate => {
      const group = candidate["concurrency_group"];
      return {
        id: requireJobId(text(candidate, "id")),
        rank: integer(candidate, "rank"),
        ...(typeof group === "string" ? { group } : {}),
      };
    });
    return { project, running: integer(running ?? {}, "n"), candidates };
  });
}

/** When the next queued job that waits for its time may start; `undefined` if none waits. */
export function nextNotBefore(db: Database, now: number): number | undefined {
  const row = db.first(
    "SELECT min(not_before) AS at FROM jobs WHERE state = 'queued' AND not_before > ?",
    now,
  );
  const at = row?.["at"];
  return typeof at === "number" ? at : undefined;
}

/** How many queued jobs of the project start before this one. */
export function positionOf(db: Database, job: Job, rank: number): number {
  const row = db.first(
    "SELECT count(*) AS n FROM jobs WHERE state = 'queued' AND project = ? AND (rank, id) < (?, ?)",
    job.spec.project,
    rank,
    job.id,
  );
  return integer(row ?? {}, "n");
}

/** When the oldest queued job was submitted; `undefined` if none waits. */
export function oldestQueuedAt(db: Database): number | undefined {
  const row = db.first("SELECT min(created_at) AS at FROM jobs WHERE state = 'queued'");
  const at = row?.["at"];
  return typeof at === "number" ? at : undefined;
}
