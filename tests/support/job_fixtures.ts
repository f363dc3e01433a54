/**
 * Jobs, outcomes and a store in memory, for tests.
 *
 * @module
 */
import * as v from "valibot";
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { type JobId, newJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { migrations as accessMigrations } from "@lib/features/access/runner.ts";
import { GRYT_MIGRATIONS } from "@lib/features/gryt/ledger.ts";
import { DURATION_MIGRATIONS } from "@lib/features/host/durations.ts";
import { USAGE_MIGRATIONS } from "@lib/features/llm_proxy/usage_schema.ts";
import { type Database, openDatabase, type Schema } from "@lib/foundations/store/database.ts";
import * as jobsApi from "@lib/features/jobs/runner.ts";
import {
  COMMIT_MIGRATIONS,
  COUNT_MIGRATIONS,
  HOLD_MIGRATIONS,
  JOB_MIGRATIONS,
  LABEL_MIGRATIONS,
} from "@lib/spine/queue/job_schema.ts";
import { JobStore, type JobStoreOptions } from "@lib/spine/queue/job_store.ts";
import { type AttemptOutcome, END_REASONS, type Job } from "@lib/spine/jobs/model.ts";
import { type ContainerSpec, type JobSpec, specRecord } from "@lib/spine/spec/job_spec.ts";

/** A project's name, checked. */
export function projectName(text = "web"): ProjectName {
  const name = parseProjectName(text);
  assert(name !== undefined, `no project name: ${text}`);
  return name;
}

/** What a job gets that asks for nothing. */
export const PLAIN_DEFAULTS = {
  env: {},
  limits: {},
  timeoutMs: 60_000,
  graceMs: 5_000,
  priority: 5,
  logMaxBytes: 1_000_000,
} as const;

/** A spec with every field filled in. */
export function makeSpec(changes: Partial<JobSpec> = {}): JobSpec {
  const spec = v.parse(specRecord, {
    project: projectName(),
    work: { kind: "command", argv: ["/bin/true"] },
    ...PLAIN_DEFAULTS,
  });
  return { ...spec, ...changes };
}

/** A container as closed as can be. */
export function makeContainer(changes: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    image: "example.org/image",
    pull: "never",
    network: "none",
    entrypoint: "job",
    mounts: [],
    capabilities: [],
    privileged: false,
    ulimits: {},
    ...changes,
  };
}

/** A queued job. */
export function makeJob(changes: Partial<Job> = {}): Job {
  return {
    id: newJobId(),
    spec: makeSpec(),
    state: "queued",
    attempt: 0,
    retryBase: 0,
    usage: {},
    createdAt: 0,
    notBefore: 0,
    revision: 0,
    ...changes,
  };
}

/** Returns the outcome of an attempt; a success by default. */
export function makeOutcome(changes: Partial<AttemptOutcome> = {}): AttemptOutcome {
  return {
    state: "succeeded",
    reason: "exit_code",
    message: "Exited with code 0",
    exitCode: 0,
    usage: {},
    finishedAt: 1_000,
    logBytes: 0,
    ...changes,
  };
}

/** Any outcome. */
export const anyOutcome: fc.Arbitrary<AttemptOutcome> = fc.record({
  state: fc.constantFrom("succeeded", "failed", "cancelled", "timed_out", "lost"),
  reason: fc.constantFrom(...END_REASONS),
  message: fc.string(),
  usage: fc.constant({}),
  finishedAt: fc.nat(),
  logBytes: fc.nat(),
});

/** A change that a store told of. */
export interface ToldChange {
  readonly job: Job;
  readonly before: Job | undefined;
}

/** A store whose database is in memory. */
export interface MemoryStore extends Disposable {
  readonly store: JobStore;
  readonly db: Database;
  readonly changes: ToldChange[];
  /** Stores a queued job. */
  add(changes?: Partial<Job>): Job;
  /** A job taken, by its id. */
  claim(id: JobId): Job;
}

/** Opens a store in memory. */
export function openMemoryStore(
  { ageingMs = 60_000, onChange, ...options }:
    & { readonly ageingMs?: number }
    & Partial<Pick<JobStoreOptions, "onChange" | "schedule" | "successors">> = {},
): MemoryStore {
  const db = openDatabase({ path: ":memory:", schemas: allSchemas() });
  const changes: ToldChange[] = [];
  const store = new JobStore({
    ...options,
    db,
    ageingMs,
    onChange(job, before) {
      changes.push({ job, before });
      onChange?.(job, before);
    },
  });
  return {
    store,
    db,
    changes,
    add: (wish) => store.insert({ job: makeJob(wish) }).job,
    claim(id) {
      const result = store.apply(id, { kind: "claimed", bootId: "boot-1" });
      assert(result.kind === "changed");
      return result.job;
    },
    [Symbol.dispose]: () => db[Symbol.dispose](),
  };
}

/** The tables of the queue and of all features. */
export function allSchemas(): readonly Schema[] {
  return [
    { name: "jobs", migrations: JOB_MIGRATIONS },
    { name: "job_labels", migrations: LABEL_MIGRATIONS },
    { name: "job_commits", migrations: COMMIT_MIGRATIONS },
    { name: "job_holds", migrations: HOLD_MIGRATIONS },
    { name: "job_counts", migrations: COUNT_MIGRATIONS },
    { name: jobsApi.schema, migrations: jobsApi.migrations },
    { name: "host", migrations: DURATION_MIGRATIONS },
    { name: "gryt", migrations: GRYT_MIGRATIONS },
    { name: "access", migrations: accessMigrations },
    { name: "llm_proxy", migrations: USAGE_MIGRATIONS },
  ];
}
