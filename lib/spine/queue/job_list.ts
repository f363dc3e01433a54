/**
 * Reads pages of jobs from the store.
 *
 * Ids come first, from one index that has them in their order, so that a page costs as much as it
 * holds, however long the history is.
 *
 * @module
 */
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import type { Database, SqlValue } from "@lib/foundations/store/database.ts";
import type { Job, JobState } from "@lib/spine/jobs/model.ts";
import { countsByState } from "@lib/spine/queue/job_counts.ts";
import { JOB_COLUMNS, jobIdIn, parseJobRow, text } from "@lib/spine/queue/job_row.ts";

/** A label that a job must have. */
type Label = readonly [name: string, value: string];

/** Selects the jobs of a list, newest first. */
export interface JobFilter {
  readonly project?: ProjectName;
  /** The projects that the caller may see. */
  readonly projects?: readonly ProjectName[];
  readonly states?: readonly JobState[];
  /** The labels that a job must have, all of them. */
  readonly labels?: readonly Label[];
  /** Lists only jobs older than this one. */
  readonly before?: JobId;
  readonly limit: number;
}

/** Part of a list of jobs. */
export interface JobPage {
  readonly jobs: readonly Job[];
  /** The list goes on after these. */
  readonly more: boolean;
}

/** A job may hold megabytes of script, so a page is bounded by its specs too, in characters. */
const PAGE_MAX_LENGTH = 2 * 1024 * 1024;
/** Follows every id. */
const AFTER_ALL = "g";
/** So few jobs are looked at one by one; of more, those with a label come first. */
const FEW_JOBS = 2_000;

/** Returns at most `limit` jobs, fewer if they are large. */
export function listJobs(db: Database, filter: JobFilter): JobPage {
  const ids = [...new Set(idsOf(db, filter))].sort((a, b) => a < b ? 1 : -1);
  return readPage(db, ids, filter.limit);
}

/** Returns at most `limit` jobs changed after `revision`, oldest change first, in their current state. */
export function jobsChangedSince(db: Database, revision: number, limit: number): readonly Job[] {
  const sql = "SELECT id FROM jobs WHERE revision > ? ORDER BY revision LIMIT ?";
  return readPage(db, db.all(sql, revision, limit).map((row) => jobIdIn(row)), limit).jobs;
}

/** Returns at least the first ids of a list, and whether there is one more than its limit. */
function idsOf(db: Database, filter: JobFilter): readonly JobId[] {
  const { project, projects, states, labels = [], before, limit } = filter;
  const among = project === undefined
    ? projects
    : projects === undefined || projects.includes(project)
    ? [project]
    : [];
  const [label, ...others] = labels;
  if (label !== undefined && !isFew(db, { among, states })) {
    return labelled(db, filter, { among, label, others });
  }
  const wheres = (among ?? [undefined]).flatMap((one) =>
    (states ?? [undefined]).map((state): readonly (readonly [string, string])[] => [
      ...(one === undefined ? [] : [["project = ?", one] as const]),
      ...(state === undefined ? [] : [["state = ?", state] as const]),
    ])
  );
  return wheres.flatMap((where) => {
    const conditions = [...where.map(([sql]) => sql), "id < ?", ...labels.map(() => HAS_LABEL)];
    return db.all(
      `SELECT id FROM jobs WHERE ${conditions.join(" AND ")} ORDER BY id DESC LIMIT ?`,
      ...where.map(([, value]) => value),
      before ?? AFTER_ALL,
      ...labels.flat(),
      limit + 1,
    ).map((row) => jobIdIn(row));
  });
}

const HAS_LABEL =
  "EXISTS (SELECT 1 FROM job_labels WHERE name = ? AND value = ? AND job_id = jobs.id)";

/** The part of a filter that the kept numbers of jobs know. */
interface Counted {
  readonly among: readonly ProjectName[] | undefined;
  readonly states: readonly JobState[] | undefined;
}

function isFew(db: Database, { among, states }: Counted): boolean {
  let sum = 0;
  for (const { project, state, count } of countsByState(db)) {
    if (among?.includes(project) !== false && states?.includes(state) !== false) sum += count;
  }
  return sum <= FEW_JOBS;
}

/** Walks the jobs with a label, the newest first, to those with the rest of the filter. */
function labelled(
  db: Database,
  { states, before, limit }: JobFilter,
  { among, label, others }: {
    readonly among: readonly ProjectName[] | undefined;
    readonly label: Label;
    readonly others: readonly Label[];
  },
): readonly JobId[] {
  const oneOf = (column: string, values: readonly SqlValue[] | undefined) =>
    // The plus keeps the planner from an index of the column: each job is found by its id.
    values === undefined ? "" : `AND +${column} IN (${values.map(() => "?").join(", ")})`;
  return db.all(
    `SELECT jobs.id FROM job_labels CROSS JOIN jobs ON jobs.id = job_labels.job_id
     WHERE name = ? AND value = ? AND job_id < ? ${oneOf("project", among)}
     ${oneOf("state", states)} ${others.map(() => `AND ${HAS_LABEL}`).join(" ")}
     ORDER BY job_id DESC LIMIT ?`,
    ...label,
    before ?? AFTER_ALL,
    ...among ?? [],
    ...states ?? [],
    ...others.flat(),
    limit + 1,
  ).map((row) => jobIdIn(row));
}

function readPage(db: Database, ids: readonly JobId[], limit: number): JobPage {
  const jobs: Job[] = [];
  let length = 0;
  for (const id of ids.slice(0, limit)) {
    const row = db.first(`SELECT ${JOB_COLUMNS} FROM jobs WHERE id = ?`, id);
    if (row === undefined) continue;
    length += text(row, "spec").length;
    if (jobs.length > 0 && length > PAGE_MAX_LENGTH) break;
    jobs.push(parseJobRow(row));
  }
  return { jobs, more: ids.length > jobs.length };
}
