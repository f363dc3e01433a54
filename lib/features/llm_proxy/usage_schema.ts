/**
 * The tables of usage, apart from what uses them: every start of a runner checks them.
 *
 * @module
 */
import type { Migration } from "@lib/foundations/store/database.ts";

/** Schema versions, in order; one that has shipped is never edited. */
export const USAGE_MIGRATIONS: readonly Migration[] = [
  `
CREATE TABLE llm_usage (
  day TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  project TEXT NOT NULL,
  requests INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  input INTEGER NOT NULL,
  output INTEGER NOT NULL,
  cache_read INTEGER NOT NULL,
  cache_write INTEGER NOT NULL,
  cost REAL NOT NULL,
  PRIMARY KEY (day, provider, model, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE llm_unsent (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  ts INTEGER NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  project TEXT NOT NULL,
  operation TEXT NOT NULL,
  input INTEGER NOT NULL,
  output INTEGER NOT NULL,
  cache_read INTEGER NOT NULL,
  cache_write INTEGER NOT NULL,
  cost REAL NOT NULL
) STRICT;
`,
];
