/**
 * The spec of a job: its type, records and view.
 *
 * @module
 */
import * as v from "valibot";
import {
  alwaysStored,
  fillMissing,
  type GivenOf,
  isMap,
  namedSecrets,
  recordSchema,
  type SpecOf,
  toView,
  viewName,
} from "@lib/spine/spec/field.ts";
import { JOB, LIMITS, type RETRY_CAUSES, SPEC } from "@lib/spine/spec/job_fields.ts";

/** A validated job, with every default filled in, without its secrets. */
export type JobSpec = SpecOf<typeof SPEC>;
/** The container a job runs in. */
export type ContainerSpec = NonNullable<JobSpec["container"]>;
/** A path of the machine that a container sees. */
export type ContainerMount = ContainerSpec["mounts"][number];
/** The repository that is checked out into the workspace before the job. */
export type GitSpec = NonNullable<JobSpec["git"]>;
/** A file that is written into the workspace after the checkout. */
export type WorkspaceFile = NonNullable<JobSpec["files"]>[number];
/** The files of a workspace that are kept after the job. */
export type ArtifactSpec = NonNullable<JobSpec["artifacts"]>;
/** A directory that is kept from job to job. */
export type CacheSpec = NonNullable<JobSpec["caches"]>[number];
/** A cause of {@linkcode RETRY_CAUSES}. */
export type RetryCause = typeof RETRY_CAUSES[number];

/** A job as submitted, parsed. */
export type JobRequest = GivenOf<typeof JOB>;

/** The schema of {@linkcode JobSpec} in records and orders. */
export const specRecord: v.GenericSchema<unknown, JobSpec> = recordSchema(SPEC);

/**
 * Reads a spec that this program or its neighbouring release checked and stored. Fills in missing
 * fields without the cost of validation; returns `undefined` if the value is not a spec.
 */
export function readStoredSpec(value: unknown): JobSpec | undefined {
  if (!isMap(value)) return undefined;
  fillMissing(SPEC, value);
  return REQUIRED.every((key) => value[key] !== undefined) ? value as JobSpec : undefined;
}

const REQUIRED = Object.entries(SPEC).filter(([, field]) => alwaysStored(field)).map(([key]) =>
  key
);

/** Returns the view of a spec: the names of the request, no secrets and no contents of files. */
export function toSpecView(spec: JobSpec): Record<string, unknown> {
  return toView(SPEC, spec);
}

const LIMIT_FIELDS = [
  ...Object.values(LIMITS),
  ...Object.values(SPEC).filter((field) => "shown" in field && field.shown === "limits"),
].filter((field) => !("fields" in field));

/** The schema of {@linkcode toLimitsView}. */
export const limitsViewSchema = v.object(
  Object.fromEntries(
    LIMIT_FIELDS.map((field) => [
      viewName(field),
      "setting" in field ? v.number() : v.nullable(v.number()),
    ]),
  ),
);

/** Returns the view of a job's limits; null: not limited by the job itself. */
export function toLimitsView(spec: JobSpec): v.InferOutput<typeof limitsViewSchema> {
  const { limits, ...own } = toView(SPEC, spec, "limits");
  const view = { ...Object(limits), ...own };
  return Object.fromEntries(
    LIMIT_FIELDS.map((field) => [viewName(field), view[viewName(field)] ?? null]),
  );
}

/**
 * Returns the names of the secrets that only the suite uses, for the checkout and the registry. The
 * job does not get them; a secret that the job needs too is given a second time.
 */
export function setupSecretNames(spec: JobSpec): ReadonlySet<string> {
  return new Set([...namedSecrets(SPEC, spec)].map(([, name]) => name));
}

/**
 * Returns true if the spec needs a setup before the job. The agent and the readers of logs must
 * agree on it: the job of such an attempt does not run before `setup.done` exists.
 */
export function hasSetup(spec: JobSpec): boolean {
  return Object.entries(spec).some(([key, value]) =>
    SETUP.has(key) && (Array.isArray(value) ? value.length > 0 : value !== undefined)
  );
}

const SETUP = new Set(
  Object.entries(SPEC).filter(([, field]) => "setup" in field).map(([key]) => key),
);
