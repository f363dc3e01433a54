/**
 * The tables behind the queue and the history.
 *
 * A migration that has shipped is never edited: append the next one.
 *
 * @module
 */
import type { Migration } from "@lib/foundations/store/database.ts";

/** Longer specs are stored beside their job's row, in bytes. */
export const LARGE_SPEC_BYTES = 8 * 1024;

/** Schema versions, in order. */
export const JOB_MIGRATIONS: readonly Migration[] = [
  `
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  retry_base INTEGER NOT NULL,
  spec TEXT NOT NULL,
  sealed_secrets BLOB,
  rank INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  concurrency_group TEXT,
  reason TEXT,
  message TEXT,
  exit_code INTEGER,
  signal TEXT,
  usage TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  cancel TEXT,
  revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX jobs_by_revision ON jobs (revision);

CREATE INDEX jobs_by_project ON jobs (project, id);

CREATE INDEX jobs_queued ON jobs (project, rank, id) WHERE state = 'queued';

CREATE INDEX jobs_open ON jobs (project, concurrency_group) WHERE state IN ('starting', 'running');

CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE attempts (
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  state TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  started_at INTEGER,
  outcome TEXT,
  PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
  key TEXT PRIMARY KEY,
  request_hash TEXT NOT NULL,
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_job ON idempotency_keys (job_id);

CREATE TABLE totals (
  project TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  wall_seconds REAL NOT NULL,
  cpu_seconds REAL NOT NULL,
  log_bytes INTEGER NOT NULL,
  PRIMARY KEY (project, state, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE intake (
  project TEXT PRIMARY KEY,
  mode TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`,
  `
CREATE INDEX jobs_waiting ON jobs (not_before) WHERE state = 'queued';

CREATE TABLE removed_revision (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  top INTEGER NOT NULL
) STRICT;
`,
  `
CREATE INDEX jobs_sealed ON jobs (finished_at, id) WHERE sealed_secrets IS NOT NULL;
`,
  // Counting without them would read the specs, which may be long.
  `
CREATE INDEX jobs_by_state ON jobs (project, state);

CREATE INDEX jobs_queued_since ON jobs (created_at) WHERE state = 'queued';
`,
  // To find a row of "jobs", SQLite reads those that it compares with: they have to be small.
  `
CREATE TABLE large_specs (
  number INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL UNIQUE REFERENCES jobs (id) ON DELETE CASCADE,
  spec TEXT NOT NULL
) STRICT;

INSERT INTO large_specs (job_id, spec)
  SELECT id, spec FROM jobs WHERE octet_length(spec) > ${LARGE_SPEC_BYTES} AND json_valid(spec);

UPDATE jobs SET spec = json_object(
  'labels', coalesce(spec -> '$.labels', json('{}')), 'retries', spec -> '$.retries')
  WHERE id IN (SELECT job_id FROM large_specs);
`,
];

/**
 * The labels of jobs, for queries; in the database, so that no writer of jobs can forget them.
 *
 * The versions of this table are its own: a release before it opens the database as well.
 */
export const LABEL_MIGRATIONS: readonly Migration[] = [
  // A trigger is one statement: its inner semicolons are not at the end of a line.
  `
CREATE TABLE job_labels (
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  PRIMARY KEY (name, value, job_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_labels_by_job ON job_labels (job_id);

CREATE TRIGGER jobs_labelled AFTER INSERT ON jobs BEGIN
  INSERT INTO job_labels SELECT key, value, new.id FROM json_each(new.spec, '$.labels'); END;

INSERT INTO job_labels SELECT labels.key, labels.value, jobs.id
  FROM jobs, json_each(iif(json_valid(spec), spec, '{}'), '$.labels') AS labels;
`,
];

/** The commits of jobs; versions of its own too, as a release before it ignores the column. */
export const COMMIT_MIGRATIONS: readonly Migration[] = [
  `
ALTER TABLE jobs ADD COLUMN commit_sha TEXT;
`,
];

/** The jobs that are held; versions of its own too, as a release before it ignores the column. */
export const HOLD_MIGRATIONS: readonly Migration[] = [
  `
ALTER TABLE jobs ADD COLUMN held_until INTEGER;

CREATE INDEX jobs_kept ON jobs (held_until) WHERE held_until IS NOT NULL;
`,
];

/**
 * The time when a job was queued again, of which an index is made: never changed.
 *
 * Its delay is that of `retryDelay`, which is at most an hour.
 */
export const QUEUED_AGAIN_AT = `not_before - iif(json_valid(spec), min(3600000,
  coalesce(spec ->> '$.retries.delayMs', 0) * (1 << min(attempt - retry_base - 1, 32))), 0)`;

/**
 * The numbers of jobs and the indices of the queue; versions of their own too, as
 * the triggers count on under a release before it.
 */
export const COUNT_MIGRATIONS: readonly Migration[] = [
  `
CREATE TABLE job_counts (
  state TEXT NOT NULL,
  project TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  PRIMARY KEY (state, project)
) STRICT, WITHOUT ROWID;

INSERT INTO job_counts SELECT state, project, count(*) FROM jobs GROUP BY state, project;

CREATE TRIGGER jobs_counted AFTER INSERT ON jobs BEGIN
  INSERT INTO job_counts VALUES (new.state, new.project, 1)
  ON CONFLICT DO UPDATE SET jobs = jobs + 1; END;

CREATE TRIGGER jobs_uncounted AFTER DELETE ON jobs BEGIN
  UPDATE job_counts SET jobs = jobs - 1 WHERE state = old.state AND project = old.project; DELETE
  FROM job_counts WHERE state = old.state AND project = old.project AND jobs = 0; END;

CREATE TRIGGER jobs_recounted AFTER UPDATE OF state ON jobs WHEN new.state <> old.state BEGIN
  UPDATE job_counts SET jobs = jobs - 1 WHERE state = old.state AND project = old.project; DELETE
  FROM job_counts WHERE state = old.state AND project = old.project AND jobs = 0; INSERT
  INTO job_counts VALUES (new.state, new.project, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1; END;

CREATE INDEX jobs_in_state ON jobs (state, id);

CREATE INDEX jobs_in_group ON jobs (project, concurrency_group)
  WHERE concurrency_group IS NOT NULL AND state IN ('queued', 'starting', 'running');
`,
  // Jobs that may start, by what they wait for: a slot, their group, or their delay. Of a group only
  // the first job counts, however many are behind it.
  `
CREATE INDEX jobs_plain ON jobs (project, rank, id)
  WHERE state = 'queued' AND attempt = retry_base AND concurrency_group IS NULL;

CREATE INDEX jobs_grouped ON jobs (project, concurrency_group, rank, id)
  WHERE state = 'queued' AND attempt = retry_base AND concurrency_group IS NOT NULL;

CREATE INDEX jobs_delayed ON jobs (project, not_before, rank, concurrency_group)
  WHERE state = 'queued' AND attempt > retry_base;

CREATE INDEX jobs_delayed_since ON jobs (project, (${QUEUED_AGAIN_AT}))
  WHERE state = 'queued' AND attempt > retry_base;

CREATE TABLE group_heads (
  project TEXT NOT NULL,
  concurrency_group TEXT NOT NULL,
  rank INTEGER NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (project, concurrency_group)
) STRICT, WITHOUT ROWID;

CREATE INDEX group_heads_by_rank ON group_heads (project, rank, id);

INSERT INTO group_heads
  SELECT project, concurrency_group, rank, id FROM (
    SELECT *, row_number() OVER (PARTITION BY project, concurrency_group ORDER BY rank, id) AS place
    FROM jobs
    WHERE state = 'queued' AND attempt = retry_base AND concurrency_group IS NOT NULL)
  WHERE place = 1;

${headTrigger("inserted", "INSERT", "new")}
${headTrigger("changed", "UPDATE OF state", "new")}
${headTrigger("removed", "DELETE", "old")}
`,
  // Each index of queued jobs is a page that a submission and a start write: a job that waits for a
  // slot only is in one of them. The last columns spare a look at the job's own row.
  `
DROP INDEX jobs_plain;

CREATE INDEX jobs_plain ON jobs (project, rank, id, attempt, retry_base, concurrency_group)
  WHERE state = 'queued' AND attempt = retry_base AND concurrency_group IS NULL;

CREATE INDEX jobs_held ON jobs (project, rank, id, attempt, retry_base, concurrency_group)
  WHERE state = 'queued' AND (attempt > retry_base OR concurrency_group IS NOT NULL);

CREATE INDEX jobs_due ON jobs (not_before, attempt, retry_base)
  WHERE state = 'queued' AND attempt > retry_base;

DROP INDEX jobs_queued;

DROP INDEX jobs_waiting;

DROP INDEX jobs_queued_since;
`,
];

/** Keeps the first job of a group on record. A trigger is one statement: its semicolons end no line. */
function headTrigger(name: string, event: string, row: "new" | "old"): string {
  const group = `project = ${row}.project AND concurrency_group = ${row}.concurrency_group`;
  return `
CREATE TRIGGER group_heads_${name} AFTER ${event} ON jobs
WHEN ${row}.concurrency_group IS NOT NULL BEGIN
  DELETE FROM group_heads WHERE ${group}; INSERT INTO group_heads
  SELECT project, concurrency_group, rank, id FROM jobs
  WHERE ${group} AND concurrency_group IS NOT NULL AND state = 'queued' AND attempt = retry_base
  ORDER BY rank, id LIMIT 1; END;
`;
}
