/**
 * API keys: who may use the API over a network, and for what.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { KeyAuthenticator } from "@lib/features/access/authenticator.ts";
import { keyRoutes } from "@lib/features/access/key_routes.ts";
import { KeyStore } from "@lib/features/access/key_store.ts";

/** API keys. */
export const accessFeature: Feature = {
  name: "access",
  migrations: [
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
  ],
  runner(services) {
    const { db, clock, log, config } = services;
    const keys = new KeyStore(db, clock);
    const requestsPerMinute = () => config().listen.requestsPerMinute;
    return {
      routes: keyRoutes(keys, services),
      authenticator: new KeyAuthenticator({ keys, requestsPerMinute, clock, log }),
    };
  },
};
