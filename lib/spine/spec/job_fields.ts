/**
 * The table of a job's fields: each is declared here or in `setup_fields.ts`.
 *
 * @module
 */
import * as v from "valibot";
import { envNameProblem } from "@lib/core/exec_limits.ts";
import {
  anyText,
  choice,
  choices,
  decimal,
  duration,
  envMap,
  flag,
  integer,
  listOf,
  mapOf,
  path,
  projectName,
  size,
  text,
  type ValueType,
  variableName,
} from "@lib/core/value_types.ts";
import { TRACEPARENT } from "@lib/core/trace_context.ts";
import {
  HOLD_MAX_MS,
  jobCpu,
  jobMemory,
  jobTimeout,
  tasks,
} from "@lib/foundations/config/ranges.ts";
import { field, type Fields, group, type KeptOf, record } from "@lib/spine/spec/field.ts";
import {
  anySize,
  artifacts,
  caches,
  CONTAINER,
  container,
  files,
  GIT,
  IMAGE,
} from "@lib/spine/spec/setup_fields.ts";
import type { ScriptWork } from "@lib/spine/spec/script.ts";
import {
  documented,
  PATTERNS,
  SAFE_NAMES,
  safely,
  scalar,
  secretMap,
  shortText,
  shortTextProblem,
} from "@lib/spine/spec/text_types.ts";

/** Limits on the secrets of a job; what masks them grows with them. */
const SECRETS_MAX = { count: 64, eachBytes: 64 * 1024, totalBytes: 128 * 1024 } as const;

/** The results that a retry policy may name. */
export const RETRY_CAUSES = ["failed", "oom_killed", "timed_out", "lost"] as const;

type JobWork = { readonly kind: "command"; readonly argv: readonly string[] } | ScriptWork;

const HOUR_MS = 3_600_000;

/** The `limits` of a job; absent means not limited by the job itself. */
export const LIMITS = {
  cpu: field("cpu", decimal(jobCpu), {
    doc: "CPUs that the job may use, such as 0.5",
    flag: "--limit-cpu CPUS",
  }),
  memoryBytes: field("memory", size(jobMemory), {
    doc: "Memory including page cache; at least 8M, as a program does not start with less",
    flag: "--limit-memory SIZE",
    help: "Memory the job may use, such as 512M",
  }),
  tasks: field("tasks", integer(tasks), {
    doc: "Processes and threads the job may have",
    flag: "--limit-tasks COUNT",
  }),
  diskBytes: field("disk", size(anySize), {
    doc: "Disk space of a container outside its workspace; with `image` only",
    flag: "--limit-disk/--disk SIZE",
    section: "Container",
  }),
};

const RETRIES = {
  max: field("max", integer({ min: 0, max: 10 }), {
    required: true,
    doc: "Number of further attempts",
    flag: "--retries COUNT",
  }),
  on: field("on", choices(RETRY_CAUSES), {
    default: ["failed", "timed_out", "lost"],
    doc: "Results that are retried; by default failed, timed_out and lost",
    flag: "--retry-on ENDING",
    help: "Result that is retried; may be repeated",
  }),
  delayMs: field("delay", duration({ min: 0, max: HOUR_MS }), {
    default: 0,
    doc: "Delay before the second attempt; doubles with each further one",
    flag: "--retry-delay DURATION",
  }),
};

/** The body of `POST /v1/jobs`. */
export const JOB = {
  project: field("project", projectName(), {
    required: true,
    doc: "The project that the job belongs to",
    flag: "-p/--project PROJECT",
    shown: "never",
  }),
  command: field("command", argv(), {
    only: "request",
    doc: "Program and arguments, run without a shell; or give `script`",
  }),
  script: field("script", documented(anyText(), { minLength: 1, pattern: PATTERNS.script }), {
    only: "request",
    doc: "Text that the interpreter of its `#!` line runs, or else `shell`; or give `command`",
    flag: "-s/--script FILE",
    help: "Run the text of a file, by its #! line or else with a shell; - reads standard input",
  }),
  shell: field("shell", path("absolute"), {
    only: "request",
    setting: "defaults.shell",
    doc: "Absolute path of the script's shell; overrides a `#!` line",
    flag: "--shell PATH",
  }),
  errexit: field("errexit", flag(), {
    only: "request",
    doc: "A shell ends the script at the first failed command, as with `set -e`; by default true " +
      "for scripts without a `#!` line",
    flag: "--no-errexit",
    help: "Go on after a failed command of a script, which ends it otherwise (set -e)",
  }),
  env: field("env", envMap(scalar(), safely(envNameProblem)), {
    setting: "defaults.env",
    merge: true,
    doc: "Environment variables",
    flag: "-e/--env NAME=VALUE",
    help: "Set a variable of the job; NAME alone passes your value on",
  }),
  secrets: field("secrets", secretMap(SECRETS_MAX, safely(envNameProblem)), {
    only: "request",
    doc: "Environment variables that are sealed at rest and masked in logs: at most 64, 64 KiB " +
      "each, 128 KiB together",
    flag: "--secret NAME=SOURCE",
    help: "A masked variable; SOURCE is file:PATH, env:NAME or - (standard input)",
  }),
  workdir: field("workdir", documented(path("any"), { pattern: PATTERNS.workdir }), {
    setting: "projects.<name>.workdir",
    optional: true,
    doc: "Absolute, or relative to the job's own fresh workspace, which is the default",
    flag: "-w/--workdir PATH",
    help: "Directory to start in; a relative one is below this one, or below the job's workspace",
  }),
  limits: group("limits", LIMITS, {
    setting: "defaults.limits",
    merge: true,
    doc: "Limits on the job",
    shown: "limits",
  }),
  timeoutMs: field("timeout", duration(jobTimeout), {
    setting: "defaults.timeout",
    doc: "Time limit of an attempt",
    flag: "-t/--timeout DURATION",
    shown: "limits",
  }),
  graceMs: field("grace", duration({ min: 0, max: HOUR_MS }), {
    setting: "defaults.grace",
    doc: "Time between SIGTERM and SIGKILL",
    flag: "--grace DURATION",
    shown: "limits",
  }),
  holdMs: field("hold_on_failure", duration({ min: 0, max: HOLD_MAX_MS }), {
    setting: "defaults.hold_on_failure",
    optional: true,
    doc:
      "How long the workspace and the limits of a failed attempt are kept for people, who enter " +
      "them with `attach`; at most `defaults.hold_max`",
    flag: "--hold-on-failure DURATION",
    help: "Keep the place of the job for so long if it fails, to enter it with attach",
  }),
  priority: field("priority", integer({ min: 0, max: 9 }), {
    setting: "defaults.priority",
    doc: "Higher starts earlier, within the project",
    flag: "--priority 0-9",
  }),
  concurrencyGroup: field("concurrency_group", shortText(), {
    doc: "Only one job of a group runs at a time",
    flag: "--group NAME",
  }),
  cancelInProgress: field("cancel_in_progress", flag(), {
    default: false,
    doc: "Cancel the open jobs of the group when this one is accepted",
    flag: "--cancel-in-progress",
  }),
  retries: group("retries", RETRIES, {
    default: { max: 0, on: ["failed", "timed_out", "lost"], delayMs: 0 },
    doc: "Automatic further attempts",
  }),
  output: field("output", choice(["merged", "split"]), {
    default: "merged",
    doc: "`merged`: one log in the order of writing; `split`: separate logs of stdout and stderr",
    flag: "--output HOW",
  }),
  logMaxBytes: field("log_max", size(anySize), {
    setting: "defaults.log_max",
    doc: "Bytes of log that are kept",
    flag: "--log-max SIZE",
  }),
  labels: field(
    "labels",
    mapOf(anyText(1024), {
      nameProblem: safely(shortTextProblem),
      names: SAFE_NAMES,
      max: 64,
    }),
    {
      default: {},
      doc: "For your own use; shown and searched, but not interpreted",
      flag: "-l/--label NAME=VALUE",
    },
  ),
  traceparent: field("traceparent", text("a W3C trace context", TRACEPARENT), {
    optional: true,
    doc:
      "Trace context that the job's trace goes on; by default the header `traceparent`. The job " +
      "gets it, or its own below it, as `TRACEPARENT`",
    flag: "--traceparent CONTEXT",
    help: "Trace context to go on, as of W3C Trace Context",
  }),
  git: group("git", GIT, {
    setup: true,
    doc: "The repository that is checked out into the workspace first",
    section: "Workspace",
  }),
  files: field("files", files(), {
    setup: true,
    doc: "Files that are written into the workspace after the checkout",
  }),
  artifacts: artifacts(),
  caches: field("caches", caches(), {
    setup: true,
    doc: "Directories that are kept from job to job",
    flag: "--cache NAME=PATHS[:FILES]",
    help: "Keep directories from job to job; the content of FILES, such as package-lock.json, " +
      "determines the key; separate list entries with commas",
    section: "Workspace",
  }),
  ...IMAGE,
  container: group("container", CONTAINER, {
    only: "request",
    doc: "Options of the container; with `image` only",
    section: "Container",
  }),
} as const;

/** A program and its arguments. */
function argv(): ValueType<readonly string[]> {
  const argument = documented(anyText(), { pattern: PATTERNS.noNul });
  const type = listOf(argument, { max: 4_096, accepts: "a list of texts" });
  const program = { ...argument.json, minLength: 1 };
  return documented(type, { minItems: 1, prefixItems: [program], examples: [["make", "test"]] });
}

/** A program with arguments, or a script for a shell. */
const WORK: ValueType<JobWork> = {
  ...record({}),
  kept: v.variant("kind", [
    v.looseObject({ kind: v.literal("command"), argv: v.array(v.string()) }),
    v.looseObject({
      kind: v.literal("script"),
      text: v.string(),
      shell: v.string(),
      args: v.exactOptional(v.array(v.string())),
      errexit: v.exactOptional(v.boolean()),
    }),
  ]),
  schema: v.never(),
  show: (work) =>
    work.kind === "command" ? { command: work.argv } : {
      script: work.text,
      shell: work.shell,
      ...(work.errexit === undefined ? {} : { errexit: work.errexit }),
    },
};

/** The common fields of a request and its record. */
export const KEPT = kept(JOB);

/** The fields of a job's record. */
export const SPEC = {
  ...KEPT,
  work: field("work", WORK, { required: true, spread: true, doc: "What to run" }),
  secretNames: field(
    "secret_names",
    listOf(variableName(), { max: Infinity, accepts: "a list of names" }),
    { default: [], doc: "Names of the secrets; their values are sealed separately" },
  ),
  container: container(),
} as const;

function kept<T extends Fields>(fields: T): KeptOf<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, field]) => field.only === undefined),
  ) as KeptOf<T>;
}
