/**
 * The job as people write it: one schema for HTTP, YAML and the command line,
 * for validation, types and OpenAPI.
 *
 * @module
 */
import * as v from "valibot";
import { JOB_MEMORY_MIN_BYTES } from "@lib/core/job_limits.ts";
import { formatSize } from "@lib/core/size.ts";
import { RETRY_CAUSES } from "@lib/spine/jobs/model.ts";
import {
  durationField,
  flagField,
  nameField,
  pathField,
  projectField,
  scalarField,
  shortTextField,
  sizeField,
} from "@lib/spine/spec/job_request_fields.ts";
import {
  artifactsSchema,
  cachesSchema,
  containerSchema,
  filesSchema,
  gitSchema,
  pullField,
} from "@lib/spine/spec/job_request_setup.ts";

/** The `limits` of a job. */
export const limitsSchema = v.strictObject({
  cpu: v.exactOptional(v.pipe(
    v.number("must be a number of CPUs such as 0.5 or 2"),
    v.minValue(0.01, "must be at least 0.01"),
    v.maxValue(1024, "must be at most 1024"),
    v.description("CPUs the job may use at once"),
  )),
  memory: v.exactOptional(v.pipe(
    sizeField,
    v.minValue(
      JOB_MEMORY_MIN_BYTES,
      `must be at least ${formatSize(JOB_MEMORY_MIN_BYTES)}: a program does not start with less`,
    ),
    v.description("Memory, page cache included; at least 8M"),
  )),
  tasks: v.exactOptional(v.pipe(
    v.number("must be a number of processes and threads"),
    v.integer("must be whole"),
    v.minValue(1, "must be at least 1"),
    v.maxValue(4_194_304, "must be at most 4194304"),
    v.description("Processes and threads"),
  )),
  disk: v.exactOptional(v.pipe(
    sizeField,
    v.description("What a container may write outside its workspace; with `image` only"),
  )),
});

/** The `retries` of a job. */
export const retriesSchema = v.strictObject({
  max: v.pipe(
    v.number("must be a number"),
    v.integer("must be whole"),
    v.minValue(0, "must not be negative"),
    v.maxValue(10, "must be at most 10"),
    v.description("How many further attempts"),
  ),
  on: v.exactOptional(v.pipe(
    v.array(
      v.picklist(RETRY_CAUSES, `must be one of ${RETRY_CAUSES.join(", ")}`),
      `must be a list of ${RETRY_CAUSES.join(", ")}`,
    ),
    v.maxLength(RETRY_CAUSES.length, `has more than ${RETRY_CAUSES.length} entries`),
    v.description("Which endings are tried again; by default failed, timed_out and lost"),
  )),
  delay: v.exactOptional(v.pipe(
    durationField,
    v.description("Wait before the second attempt; doubles with each further one"),
  )),
});

/** The body of `POST /v1/jobs`. */
export const jobRequestSchema = v.strictObject({
  project: v.pipe(projectField, v.description("The project that the job belongs to")),
  command: v.exactOptional(v.pipe(
    v.array(v.string("must be text"), "must be a list of texts: the program and its arguments"),
    v.description("Program and arguments, run without a shell; or give `script`"),
  )),
  script: v.exactOptional(v.pipe(
    v.string("must be text"),
    v.description("Text that `shell` runs; or give `command`"),
  )),
  shell: v.exactOptional(
    v.pipe(shortTextField, v.description("Absolute path of the script's shell")),
  ),
  env: v.exactOptional(
    v.pipe(v.record(nameField, scalarField), v.description("Environment variables")),
  ),
  secrets: v.exactOptional(v.pipe(
    v.record(nameField, v.string("must be text")),
    v.description("Environment variables that are sealed at rest and masked in logs"),
  )),
  workdir: v.exactOptional(v.pipe(
    pathField,
    v.description("Absolute, or relative to the job's own fresh workspace"),
  )),
  image: v.exactOptional(v.pipe(
    shortTextField,
    v.description("Container image; without one the job runs as a process of the account"),
  )),
  pull: v.exactOptional(v.pipe(pullField, v.description("When the image is fetched"))),
  network: v.exactOptional(v.pipe(
    shortTextField,
    v.description("`none`, `bridge`, or a network that is allowed for the project"),
  )),
  container: v.exactOptional(containerSchema),
  git: v.exactOptional(v.pipe(
    gitSchema,
    v.description("The repository that is checked out into the workspace first"),
  )),
  files: v.exactOptional(v.pipe(
    filesSchema,
    v.description("Files that are written into the workspace after the checkout"),
  )),
  artifacts: v.exactOptional(v.pipe(
    artifactsSchema,
    v.description("What is kept of the workspace after the job"),
  )),
  caches: v.exactOptional(v.pipe(
    cachesSchema,
    v.description("Folders that are carried from job to job"),
  )),
  limits: v.exactOptional(limitsSchema),
  timeout: v.exactOptional(v.pipe(durationField, v.description("Time limit of an attempt"))),
  grace: v.exactOptional(v.pipe(durationField, v.description("Between SIGTERM and SIGKILL"))),
  priority: v.exactOptional(v.pipe(
    v.number("must be a number from 0 to 9"),
    v.integer("must be whole"),
    v.minValue(0, "must be from 0 to 9"),
    v.maxValue(9, "must be from 0 to 9"),
    v.description("Higher starts earlier, within the project"),
  )),
  concurrency_group: v.exactOptional(v.pipe(
    shortTextField,
    v.description("Of the jobs of a group, one runs at a time"),
  )),
  cancel_in_progress: v.exactOptional(v.pipe(
    flagField,
    v.description("Cancel the open jobs of the group when this one is accepted"),
  )),
  retries: v.exactOptional(retriesSchema),
  output: v.exactOptional(v.pipe(
    v.picklist(["merged", "split"], 'must be "merged" or "split"'),
    v.description(
      "`merged`: one log in the order of writing; `split`: stdout and stderr can be read apart",
    ),
  )),
  log_max: v.exactOptional(v.pipe(sizeField, v.description("Bytes of log that are kept"))),
  labels: v.exactOptional(v.pipe(
    v.record(
      shortTextField,
      v.pipe(v.string(), v.maxLength(1024, "is longer than 1024 characters")),
    ),
    v.maxEntries(64, "has more than 64 entries"),
    v.description("For your own use; shown, not interpreted"),
  )),
});

/** A job as submitted, parsed. */
export type JobRequest = v.InferOutput<typeof jobRequestSchema>;
