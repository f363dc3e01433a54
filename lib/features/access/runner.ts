/**
 * API keys in the runner.
 *
 * @module
 */
import { LISTEN } from "@lib/foundations/config/program_keys.ts";
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import type { Migration } from "@lib/foundations/store/database.ts";
import { KeyAuthenticator } from "@lib/features/access/authenticator.ts";
import { keyRoutes } from "@lib/features/access/key_routes.ts";
import { KeyStore } from "@lib/features/access/key_store.ts";

/** The table of keys; append migrations, never edit a shipped one. */
export const migrations: readonly Migration[] = [
  `
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  hash BLOB NOT NULL,
  previous_hash BLOB,
  previous_until INTEGER,
  scopes TEXT NOT NULL,
  projects TEXT,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;
`,
];

/** Makes the part of the runner. */
export function part(services: RunnerServices): RunnerPart {
  const { db, clock, log, config, tasks } = services;
  const keys = new KeyStore(db, clock);
  const requestsPerMinute = () => config().of(LISTEN).requestsPerMinute;
  const authenticator = new KeyAuthenticator({ keys, requestsPerMinute, clock, log });
  return {
    routes: keyRoutes(keys, services),
    authenticator,
    start: () => tasks.spawn("keys of open streams", (signal) => authenticator.watch(signal)),
  };
}
