/**
 * The job as people write it: one schema for HTTP, YAML and the command line,
 * for validation, types and OpenAPI.
 *
 * @module
 */
import * as v from "valibot";
import { formatDuration, parseDuration } from "@lib/core/duration.ts";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";
import {
  argvProblem,
  ENV_NAME_MAX_BYTES,
  envNameProblem,
  envProblem,
  execTotalProblem,
} from "@lib/core/exec_limits.ts";
import { parseProjectName, projectNameProblem } from "@lib/core/ids.ts";
import { didYouMean } from "@lib/core/nearest.ts";
import { formatSize, parseSize } from "@lib/core/size.ts";
import { SECRET_MIN_BYTES, secretForms } from "@lib/logs/secret_forms.ts";
import { type JobSpec, RETRY_CAUSES } from "@lib/jobs/model.ts";

/** Longest script. */
export const SCRIPT_MAX_BYTES = 4 * 1024 * 1024;
/** Longest time limit. */
const TIMEOUT_MAX_MS = 7 * 86_400_000;
const GRACE_MAX_MS = 3_600_000;
/** Longest wait before a retry. */
const DELAY_MAX_MS = 3_600_000;

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

const limits = v.strictObject({
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

const retries = v.strictObject({
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
  limits: v.exactOptional(limits),
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
  retries: v.exactOptional(retries),
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

/** What a request leaves open, per project. */
export interface RequestDefaults {
  readonly shell: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: JobSpec["limits"];
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly priority: number;
  readonly logMaxBytes: number;
  readonly workdir?: string;
}

/** A parsed request: the spec, and the secrets apart from it. */
export interface ParsedRequest {
  readonly spec: JobSpec;
  readonly secrets: Readonly<Record<string, string>>;
}

/**
 * Validates a request and fills in its defaults.
 *
 * @throws {CicdError} `invalid_request` with the path of each field at fault.
 */
export function parseJobRequest(
  value: unknown,
  defaultsOf: (project: JobSpec["project"]) => RequestDefaults,
): ParsedRequest {
  const parsed = v.safeParse(jobRequestSchema, value);
  if (!parsed.success) throw invalid(parsed.issues.map(toFieldIssue));
  const request = parsed.output;
  const issues = [...unreadNames(value, request), ...crossChecks(request)];
  if (issues.length > 0) throw invalid(issues);
  const spec = toSpec(request, defaultsOf(request.project));
  const secrets = request.secrets ?? {};
  const problem = execTotalProblem(
    spec.work.kind === "command" ? spec.work.argv : [],
    { ...spec.env, ...secrets },
  );
  if (problem !== undefined) {
    throw invalid([{
      path: "env",
      message: `with the command, the secrets and the defaults ${problem.message}`,
    }]);
  }
  return { spec, secrets };
}

/** Names that the validator passes over in silence, as JavaScript gives them a meaning. */
function unreadNames(value: unknown, request: JobRequest): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  for (const field of ["env", "secrets", "labels"] as const) {
    const given = typeof value === "object" && value !== null && field in value
      ? Object.getOwnPropertyDescriptor(value, field)?.value
      : undefined;
    if (typeof given !== "object" || given === null) continue;
    for (const name of ["__proto__", "prototype", "constructor"]) {
      if (Object.hasOwn(given, name) && !Object.hasOwn(request[field] ?? {}, name)) {
        issues.push({ path: `${field}.${name}`, message: "cannot be used as a name here" });
      }
    }
  }
  return issues;
}

function toSpec(request: JobRequest, defaults: RequestDefaults): JobSpec {
  const workdir = request.workdir ?? defaults.workdir;
  const { memory, ...limits } = request.limits ?? {};
  return {
    project: request.project,
    work: request.command !== undefined
      ? { kind: "command", argv: request.command }
      : { kind: "script", text: request.script ?? "", shell: request.shell ?? defaults.shell },
    env: { ...defaults.env, ...request.env },
    secretNames: Object.keys(request.secrets ?? {}),
    limits: {
      ...defaults.limits,
      ...limits,
      ...(memory === undefined ? {} : { memoryBytes: memory }),
    },
    timeoutMs: request.timeout ?? defaults.timeoutMs,
    graceMs: request.grace ?? defaults.graceMs,
    priority: request.priority ?? defaults.priority,
    cancelInProgress: request.cancel_in_progress ?? false,
    retries: {
      max: request.retries?.max ?? 0,
      on: request.retries?.on ?? ["failed", "timed_out", "lost"],
      delayMs: request.retries?.delay ?? 0,
    },
    output: request.output ?? "merged",
    logMaxBytes: request.log_max ?? defaults.logMaxBytes,
    labels: request.labels ?? {},
    ...(workdir === undefined ? {} : { workdir }),
    ...(request.concurrency_group === undefined
      ? {}
      : { concurrencyGroup: request.concurrency_group }),
  };
}

/** What no single field can know. */
function crossChecks(request: JobRequest): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  const add = (path: string, message: string) => issues.push({ path, message });
  const { command, script, shell, env = {}, secrets = {}, timeout, grace, workdir } = request;
  if (command === undefined && script === undefined) {
    add("script", "is missing; give `script`, or `command` as a list of program and arguments");
  }
  if (command !== undefined && script !== undefined) {
    add("command", "stands beside `script`; give one");
  }
  if (command !== undefined && shell !== undefined) add("shell", "goes with `script` only");
  if (shell !== undefined && !shell.startsWith("/")) {
    add("shell", `is "${shell}"; give an absolute path such as /bin/bash`);
  }
  if (command !== undefined) {
    const problem = argvProblem(command);
    if (problem !== undefined) {
      add(problem.field === "" ? "command" : `command.${problem.field}`, problem.message);
    }
  }
  if (script !== undefined) issues.push(...scriptIssues(script));
  for (const [field, values] of [["env", env], ["secrets", secrets]] as const) {
    const problem = envProblem(values);
    if (problem !== undefined) {
      add(problem.field === "" ? field : `${field}.${problem.field}`, problem.message);
    }
  }
  for (const key of Object.keys(secrets)) {
    if (Object.hasOwn(env, key)) add(`secrets.${key}`, "stands in `env` too; give it once");
  }
  for (const key of secretForms(new Map(Object.entries(secrets))).unmasked) {
    add(
      `secrets.${key}`,
      `is shorter than ${SECRET_MIN_BYTES} bytes, so it could not be masked in logs; use a longer ` +
        "one, or `env` if it is no secret",
    );
  }
  if (timeout !== undefined && (timeout < 1 || timeout > TIMEOUT_MAX_MS)) {
    add("timeout", `is ${formatDuration(timeout)}; give 1ms to ${formatDuration(TIMEOUT_MAX_MS)}`);
  }
  if (grace !== undefined && grace > GRACE_MAX_MS) {
    add(
      "grace",
      `is ${formatDuration(grace)}; at most ${formatDuration(GRACE_MAX_MS)} are allowed`,
    );
  }
  if (request.retries?.delay !== undefined && request.retries.delay > DELAY_MAX_MS) {
    add("retries.delay", `is too long; at most ${formatDuration(DELAY_MAX_MS)} are allowed`);
  }
  if (request.cancel_in_progress === true && request.concurrency_group === undefined) {
    add("cancel_in_progress", "needs `concurrency_group`");
  }
  if (
    workdir !== undefined && (/[\p{Cc}\p{Cs}]/u.test(workdir) || workdir.split("/").includes(".."))
  ) {
    add("workdir", "contains '..' or a control character");
  }
  return issues;
}

function scriptIssues(script: string): readonly FieldIssue[] {
  if (script.trim() === "") return [{ path: "script", message: "is empty" }];
  if (script.includes("\0")) return [{ path: "script", message: "contains a NUL character" }];
  if (!script.isWellFormed()) return [{ path: "script", message: "is no valid Unicode text" }];
  const bytes = new TextEncoder().encode(script).byteLength;
  return bytes > SCRIPT_MAX_BYTES
    ? [{
      path: "script",
      message:
        `is ${formatSize(bytes)} long; at most ${formatSize(SCRIPT_MAX_BYTES)} are allowed, ` +
        "put the text into a file and run that",
    }]
    : [];
}

/** Turns a validator's issue into a field's path and a sentence. */
export function toFieldIssue(issue: v.BaseIssue<unknown>): FieldIssue {
  const path = cut(v.getDotPath(issue) ?? "", ENV_NAME_MAX_BYTES);
  if (issue.type === "strict_object" && issue.expected === "never") {
    const key = String(issue.path?.at(-1)?.key ?? path);
    return { path, message: `is not a known field${didYouMean(key, knownFields(issue.path))}` };
  }
  if (issue.input === undefined) return { path, message: "is missing" };
  if (issue.type === "strict_object" || issue.type === "record") {
    return { path: path === "" ? "body" : path, message: "must be an object" };
  }
  return { path, message: cut(issue.message, MESSAGE_MAX_CHARS) };
}

/** A message may quote what was given, which may be long. */
const MESSAGE_MAX_CHARS = 400;

function cut(text: string, maxChars: number): string {
  return text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
}

/** The fields that stand where an unknown one was given. */
function knownFields(path: v.BaseIssue<unknown>["path"]): readonly string[] {
  switch (path?.length === 2 ? path[0].key : undefined) {
    case "limits":
      return Object.keys(limits.entries);
    case "retries":
      return Object.keys(retries.entries);
    default:
      return Object.keys(jobRequestSchema.entries);
  }
}

function invalid(issues: readonly FieldIssue[]): CicdError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  return new CicdError(
    "invalid_request",
    `Cannot accept the job: ${first?.path ?? "body"} ${first?.message ?? "is invalid"}${more}`,
    { issues: issues.slice(0, 32) },
  );
}
