/**
 * The job as people write it: one schema for HTTP, YAML and the command line,
 * for validation, types and OpenAPI.
 *
 * @module
 */
import * as v from "valibot";
import { parseDuration } from "@lib/core/duration.ts";
import { envNameProblem } from "@lib/core/exec_limits.ts";
import { parseProjectName, projectNameProblem } from "@lib/core/ids.ts";
import { parseSize } from "@lib/core/size.ts";
import { RETRY_CAUSES } from "@lib/jobs/model.ts";

const duration = v.pipe(
  v.union([v.string(), v.number()], 'must be a duration such as "10m", or a number of seconds'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const ms = parseDuration(dataset.value);
    if (ms !== undefined) return ms;
    addIssue({
      message: typeof dataset.value === "number" || dataset.value.trim().startsWith("-")
        ? `is ${dataset.value}; a duration is not negative`
        : `is "${dataset.value}"; write a duration such as "90s", "10m" or "1h30m"`,
    });
    return NEVER;
  }),
  v.metadata({ example: "10m" }),
);

const size = v.pipe(
  v.union([v.string(), v.number()], 'must be a size such as "512M", or a number of bytes'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = parseSize(dataset.value);
    if (bytes !== undefined && bytes > 0) return bytes;
    addIssue({ message: `is "${dataset.value}"; write a size such as "512M" or "2G"` });
    return NEVER;
  }),
  v.metadata({ example: "512M" }),
);

const project = v.pipe(
  v.string("must be text"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const name = parseProjectName(dataset.value);
    if (name !== undefined) return name;
    addIssue({ message: projectNameProblem(dataset.value) ?? "is no project name" });
    return NEVER;
  }),
  v.metadata({ example: "web" }),
);

const name = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const problem = envNameProblem(dataset.value);
    if (problem !== undefined) addIssue({ message: problem });
  }),
);

const scalar = v.pipe(
  v.union([v.string(), v.number(), v.boolean()], "must be text, a number, true or false"),
  v.transform(String),
);

/** The `limits` of a job. */
export const limitsSchema = v.strictObject({
  cpu: v.exactOptional(v.pipe(
    v.number("must be a number of CPUs such as 0.5 or 2"),
    v.minValue(0.01, "must be at least 0.01"),
    v.maxValue(1024, "must be at most 1024"),
    v.description("CPUs the job may use at once"),
  )),
  memory: v.exactOptional(v.pipe(size, v.description("Memory, page cache included"))),
  tasks: v.exactOptional(v.pipe(
    v.number("must be a number of processes and threads"),
    v.integer("must be whole"),
    v.minValue(1, "must be at least 1"),
    v.maxValue(4_194_304, "must be at most 4194304"),
    v.description("Processes and threads"),
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
    duration,
    v.description("Wait before the second attempt; doubles with each further one"),
  )),
});

const shortText = v.pipe(
  v.string("must be text"),
  v.minLength(1, "is empty"),
  v.maxLength(256, "is longer than 256 characters"),
  v.regex(/^[^\p{Cc}\p{Cs}]*$/u, "contains a control character"),
);

/** The body of `POST /v1/jobs`. */
export const jobRequestSchema = v.strictObject({
  project: v.pipe(project, v.description("The project that the job belongs to")),
  command: v.exactOptional(v.pipe(
    v.array(v.string("must be text"), "must be a list of texts: the program and its arguments"),
    v.description("Program and arguments, run without a shell; or give `script`"),
  )),
  script: v.exactOptional(v.pipe(
    v.string("must be text"),
    v.description("Text that `shell` runs; or give `command`"),
  )),
  shell: v.exactOptional(v.pipe(shortText, v.description("Absolute path of the script's shell"))),
  env: v.exactOptional(v.pipe(v.record(name, scalar), v.description("Environment variables"))),
  secrets: v.exactOptional(v.pipe(
    v.record(name, v.string("must be text")),
    v.description("Environment variables that are sealed at rest and masked in logs"),
  )),
  workdir: v.exactOptional(v.pipe(
    v.string("must be text"),
    v.minLength(1, "is empty"),
    v.maxLength(4095, "is longer than 4095 characters"),
    v.description("Absolute, or relative to the job's own fresh workspace"),
  )),
  limits: v.exactOptional(limitsSchema),
  timeout: v.exactOptional(v.pipe(duration, v.description("Time limit of an attempt"))),
  grace: v.exactOptional(v.pipe(duration, v.description("Between SIGTERM and SIGKILL"))),
  priority: v.exactOptional(v.pipe(
    v.number("must be a number from 0 to 9"),
    v.integer("must be whole"),
    v.minValue(0, "must be from 0 to 9"),
    v.maxValue(9, "must be from 0 to 9"),
    v.description("Higher starts earlier, within the project"),
  )),
  concurrency_group: v.exactOptional(v.pipe(
    shortText,
    v.description("Of the jobs of a group, one runs at a time"),
  )),
  cancel_in_progress: v.exactOptional(v.pipe(
    v.boolean("must be true or false"),
    v.description("Cancel the open jobs of the group when this one is accepted"),
  )),
  retries: v.exactOptional(retriesSchema),
  output: v.exactOptional(v.pipe(
    v.picklist(["merged", "split"], 'must be "merged" or "split"'),
    v.description(
      "`merged`: one log in the order of writing; `split`: stdout and stderr can be read apart",
    ),
  )),
  log_max: v.exactOptional(v.pipe(size, v.description("Bytes of log that are kept"))),
  labels: v.exactOptional(v.pipe(
    v.record(shortText, v.pipe(v.string(), v.maxLength(1024, "is longer than 1024 characters"))),
    v.maxEntries(64, "has more than 64 entries"),
    v.description("For your own use; shown, not interpreted"),
  )),
});

/** A job as submitted, parsed. */
export type JobRequest = v.InferOutput<typeof jobRequestSchema>;
