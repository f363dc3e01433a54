/**
 * Checked reading of the records that outlive a process: a job's spec and an
 * attempt's outcome, as JSON on disk and between runner and agent.
 *
 * Fields are only ever added, so that programs of different releases
 * understand each other's records.
 *
 * @module
 */
import * as v from "valibot";
import { parseProjectName } from "@lib/core/ids.ts";
import {
  type AttemptOutcome,
  END_REASONS,
  type JobSpec,
  PULL_POLICIES,
  RETRY_CAUSES,
} from "@lib/spine/jobs/model.ts";

const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const textRecord = v.record(v.string(), v.string());

const limits = v.object({
  cpu: v.exactOptional(v.number()),
  memoryBytes: v.exactOptional(wholeNumber),
  tasks: v.exactOptional(wholeNumber),
  diskBytes: v.exactOptional(wholeNumber),
});

const work = v.variant("kind", [
  v.object({ kind: v.literal("command"), argv: v.array(v.string()) }),
  v.object({ kind: v.literal("script"), text: v.string(), shell: v.string() }),
]);

const project = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const name = parseProjectName(dataset.value);
    if (name !== undefined) return name;
    addIssue({ message: "is not a project name" });
    return NEVER;
  }),
);

const container = v.object({
  image: v.string(),
  pull: v.picklist(PULL_POLICIES),
  network: v.string(),
  entrypoint: v.picklist(["job", "image"]),
  user: v.exactOptional(v.string()),
  registry: v.exactOptional(v.object({ username: v.string(), passwordSecret: v.string() })),
  mounts: v.array(v.object({ source: v.string(), target: v.string(), readOnly: v.boolean() })),
  capabilities: v.array(v.string()),
  privileged: v.boolean(),
  ulimits: v.record(v.string(), v.number()),
  shmBytes: v.exactOptional(wholeNumber),
});

const git = v.object({
  url: v.string(),
  ref: v.exactOptional(v.string()),
  sha: v.exactOptional(v.string()),
  depth: wholeNumber,
  submodules: v.boolean(),
  lfs: v.boolean(),
  path: v.string(),
  tokenSecret: v.exactOptional(v.string()),
});

const files = v.array(
  v.object({ path: v.string(), content: v.string(), executable: v.boolean() }),
);

const artifacts = v.object({
  paths: v.array(v.string()),
  when: v.picklist(["success", "failure", "always"]),
});

const caches = v.array(v.object({
  name: v.string(),
  paths: v.array(v.string()),
  keyFiles: v.array(v.string()),
}));

/** The schema of {@linkcode JobSpec}. */
export const specRecord = v.object({
  project,
  work,
  env: textRecord,
  secretNames: v.array(v.string()),
  workdir: v.exactOptional(v.string()),
  limits,
  timeoutMs: wholeNumber,
  graceMs: wholeNumber,
  priority: wholeNumber,
  concurrencyGroup: v.exactOptional(v.string()),
  cancelInProgress: v.boolean(),
  retries: v.object({
    max: wholeNumber,
    on: v.array(v.picklist(RETRY_CAUSES)),
    delayMs: wholeNumber,
  }),
  output: v.picklist(["merged", "split"]),
  logMaxBytes: wholeNumber,
  labels: textRecord,
  container: v.exactOptional(container),
  git: v.exactOptional(git),
  files: v.exactOptional(files),
  artifacts: v.exactOptional(artifacts),
  caches: v.exactOptional(caches),
});

const usage = v.object({
  cpuSeconds: v.exactOptional(v.number()),
  memoryPeakBytes: v.exactOptional(v.number()),
  wallSeconds: v.exactOptional(v.number()),
  cpuThrottledSeconds: v.exactOptional(v.number()),
});

/** The schema of {@linkcode AttemptOutcome}. */
export const outcomeRecord = v.object({
  state: v.picklist(["succeeded", "failed", "cancelled", "timed_out", "lost"]),
  reason: v.picklist(END_REASONS),
  message: v.string(),
  exitCode: v.exactOptional(v.number()),
  signal: v.exactOptional(v.string()),
  usage,
  startedAt: v.exactOptional(v.number()),
  finishedAt: v.number(),
  logBytes: wholeNumber,
});

/** Reads a job's spec. @throws {v.ValiError} If it is none. */
export function parseSpec(value: unknown): JobSpec {
  return v.parse(specRecord, value);
}

/** Reads an attempt's outcome. @throws {v.ValiError} If it is none. */
export function parseOutcome(value: unknown): AttemptOutcome {
  return v.parse(outcomeRecord, value);
}
