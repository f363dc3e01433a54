/**
 * The answers about API keys.
 *
 * @module
 */
import * as v from "valibot";
import { project, time } from "@lib/api/answers.ts";
import { SCOPES } from "@lib/core/caller.ts";

/** The JSON Schema of a key's id. */
export const KEY_ID = { type: "string", pattern: "^[0-9a-f]{16}$" } as const;

/** A key, without its text. */
export const keySchema = v.object({
  id: v.pipe(v.string(), v.metadata(KEY_ID)),
  name: v.string(),
  scopes: v.array(v.picklist(SCOPES)),
  projects: v.pipe(v.nullable(v.array(project)), v.description("null: all")),
  created_at: time,
  last_used_at: v.pipe(v.nullable(time), v.description("To within ten minutes")),
  expires_at: v.nullable(time),
  revoked_at: v.nullable(time),
  previous_until: v.pipe(
    v.nullable(time),
    v.description("End of validity of the secret before the last rotation"),
  ),
});

/** All keys. */
export const keyListSchema = v.object({ keys: v.array(keySchema) });

/** A key with its text. */
export const issuedKeySchema = v.object({
  ...keySchema.entries,
  key: v.pipe(v.string(), v.description("The key itself, shown only once")),
});
