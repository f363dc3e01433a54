/**
 * The tables of the Gryt-compatible API.
 *
 * A migration that has shipped is never edited: append the next one.
 *
 * @module
 */
import type { Migration } from "@lib/foundations/store/database.ts";

/** Schema versions, in order. */
export const GRYT_MIGRATIONS: readonly Migration[] = [
  `
CREATE TABLE gryt_jobs (
  job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  gryt_id INTEGER NOT NULL,
  lease_ms INTEGER,
  judged_attempt INTEGER NOT NULL,
  success INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX gryt_jobs_by_id ON gryt_jobs (gryt_id, job_id);

CREATE INDEX gryt_jobs_unjudged ON gryt_jobs (job_id) WHERE judged_attempt = 0;

CREATE TABLE gryt_outbox (
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  url TEXT NOT NULL,
  kind TEXT NOT NULL,
  tries INTEGER NOT NULL,
  first_at INTEGER,
  next_at INTEGER NOT NULL,
  PRIMARY KEY (job_id, url)
) STRICT, WITHOUT ROWID;

CREATE INDEX gryt_outbox_by_time ON gryt_outbox (next_at);

CREATE TABLE gryt_totals (
  result TEXT PRIMARY KEY,
  jobs INTEGER NOT NULL,
  seconds REAL NOT NULL
) STRICT, WITHOUT ROWID;
`,
];
