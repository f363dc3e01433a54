/**
 * The tables of the runner's database.
 *
 * @module
 */
import type { RunnerModule } from "@lib/api/feature.ts";
import type { Schema } from "@lib/foundations/store/database.ts";
import {
  COMMIT_MIGRATIONS,
  COUNT_MIGRATIONS,
  HOLD_MIGRATIONS,
  JOB_MIGRATIONS,
  LABEL_MIGRATIONS,
} from "@lib/spine/queue/job_schema.ts";
import { FEATURES } from "../features.ts";

/** A feature's part of the runner, with the feature's name. */
type NamedModule = RunnerModule & { readonly name: string };

/** Loads the runner's part of each feature. */
export async function loadRunnerModules(): Promise<readonly NamedModule[]> {
  return await Promise.all(
    FEATURES.flatMap(({ name, runner }) =>
      runner === undefined ? [] : [runner().then((module) => ({ ...module, name }))]
    ),
  );
}

/** Returns the tables of the spine and of each feature. */
export function schemasOf(modules: readonly NamedModule[]): readonly Schema[] {
  return [
    { name: "jobs", migrations: JOB_MIGRATIONS },
    { name: "job_labels", migrations: LABEL_MIGRATIONS },
    { name: "job_commits", migrations: COMMIT_MIGRATIONS },
    { name: "job_holds", migrations: HOLD_MIGRATIONS },
    { name: "job_counts", migrations: COUNT_MIGRATIONS },
    ...modules.flatMap(({ name, schema = name, migrations }) =>
      migrations === undefined ? [] : [{ name: schema, migrations }]
    ),
  ];
}
