/**
 * The one table of configuration keys.
 *
 * Validation, the names of the environment variables and flags, `config show`
 * and the reference in `docs/configuration.md` are all made from it.
 *
 * @module
 */
import type { Key } from "@lib/foundations/config/key.ts";
import { CLEAN_KEYS } from "@lib/foundations/config/keys_clean.ts";
import { GRYT_KEYS } from "@lib/foundations/config/keys_gryt.ts";
import { JOB_KEYS } from "@lib/foundations/config/keys_jobs.ts";
import { PROJECT_KEYS } from "@lib/foundations/config/keys_project.ts";
import { LISTEN_KEYS, RUNNER_KEYS } from "@lib/foundations/config/keys_runner.ts";
import { SETUP_KEYS } from "@lib/foundations/config/keys_setup.ts";

/** The keys that are not below `projects`, in the order of the reference. */
export const KEYS = {
  ...RUNNER_KEYS,
  ...JOB_KEYS,
  ...SETUP_KEYS,
  ...LISTEN_KEYS,
  ...GRYT_KEYS,
  ...CLEAN_KEYS,
} as const;

/** All of {@linkcode KEYS}, by name. */
export function allKeys(): ReadonlyMap<string, Key<unknown>> {
  return byName(Object.values(KEYS));
}

/** All of {@linkcode PROJECT_KEYS}, by name. */
export function allProjectKeys(): ReadonlyMap<string, Key<unknown>> {
  return byName(Object.values(PROJECT_KEYS));
}

function byName(keys: readonly Key<unknown>[]): ReadonlyMap<string, Key<unknown>> {
  return new Map(keys.map((each) => [each.name, each]));
}
