/**
 * The answers about API keys.
 *
 * @module
 */
import * as v from "valibot";
import { SCOPES } from "@lib/core/caller.ts";

/** A key, without its text. */
export const keySchema = v.object({
  id: v.string(),
  name: v.string(),
  scopes: v.array(v.picklist(SCOPES)),
  projects: v.pipe(v.nullable(v.array(v.string())), v.description("null: all")),
  created_at: v.string(),
  last_used_at: v.pipe(v.nullable(v.string()), v.description("To within ten minutes")),
  expires_at: v.nullable(v.string()),
  revoked_at: v.nullable(v.string()),
  previous_until: v.pipe(
    v.nullable(v.string()),
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
