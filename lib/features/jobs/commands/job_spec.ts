/**
 * From the flags of `run` and `submit` to the body of `POST /v1/jobs`.
 *
 * The runner validates; what it refuses is told with the flag, or the place in
 * the file, that it came from.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { SCRIPT_MAX_BYTES } from "@lib/spine/spec/rules.ts";
import type { JobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import { type JobFile, parseJobFile } from "@lib/features/jobs/commands/job_file.ts";
import { readSecretFlags, type SecretPorts } from "@lib/features/jobs/commands/secret_flags.ts";
import {
  readSetupSecrets,
  SETUP_FLAG_OF,
  setupFields,
} from "@lib/features/jobs/commands/setup_fields.ts";

/** What a job is made with. */
export interface JobSpecPorts extends SecretPorts {
  readonly readFile: (path: string) => Promise<string>;
}

/** A request, and how its fields are told. */
export interface JobSpecInput {
  readonly request: Readonly<Record<string, unknown>>;
  /** Gives a refusal's fields the names under which the user knows them. */
  readonly explain: (error: CicdError) => CicdError;
}

/** The project of a job that names none. */
export const DEFAULT_PROJECT = "default";

/** Largest job file, in bytes. */
export const JOB_FILE_MAX_BYTES = 8 * 1024 * 1024;

/** Which flag gave a field. */
const FLAG_OF: Readonly<Record<string, string>> = {
  project: "--project",
  command: "COMMAND",
  script: "--script",
  shell: "--shell",
  workdir: "--workdir",
  "limits.cpu": "--limit-cpu",
  "limits.memory": "--limit-memory",
  "limits.tasks": "--limit-tasks",
  timeout: "--timeout",
  grace: "--grace",
  priority: "--priority",
  concurrency_group: "--group",
  cancel_in_progress: "--cancel-in-progress",
  "retries.max": "--retries",
  "retries.on": "--retry-on",
  "retries.delay": "--retry-delay",
  output: "--output",
  log_max: "--log-max",
  ...SETUP_FLAG_OF,
};

/** @throws {CicdError} `usage` or `invalid_request` if the flags make no request. */
export async function readJobSpec(flags: JobFlags, ports: JobSpecPorts): Promise<JobSpecInput> {
  const file = flags.file === undefined ? undefined : await readJobFile(flags.file, ports);
  const given = await givenFields(flags, ports);
  const base: Record<string, unknown> = { ...file?.value };
  if ("command" in given || "script" in given) {
    delete base["command"];
    delete base["script"];
    if ("command" in given) delete base["shell"];
  }
  // What the flags say of artifacts is laid over a map, so the short form becomes one.
  if ("artifacts" in given && Array.isArray(base["artifacts"])) {
    base["artifacts"] = { paths: base["artifacts"] };
  }
  const project = ports.env("CICD_PROJECT") || DEFAULT_PROJECT;
  const request = joined({ project, ...base }, given);
  if (!("command" in request) && !("script" in request)) {
    throw usage("there is nothing to run; give -- COMMAND ARGS…, --script FILE or --file FILE");
  }
  return { request, explain: (error) => explain(error, given, file) };
}

async function givenFields(
  flags: JobFlags,
  ports: JobSpecPorts,
): Promise<Record<string, unknown>> {
  if (flags.argv.length > 0 && flags.script !== undefined) {
    throw usage("a command and --script stand side by side; give one");
  }
  const script = flags.script === undefined ? undefined : await readScript(flags.script, ports);
  const env = pairs(flags.env, "--env", (name) => {
    const value = ports.env(name);
    if (value !== undefined) return value;
    throw usage(`--env ${name} passes on a variable that is not set; write --env ${name}=VALUE`);
  });
  const labels = pairs(flags.labels, "--label", (name) => {
    throw usage(`--label ${name} has no value; write --label ${name}=VALUE`);
  });
  const setup = setupFields(flags, ports.cwd);
  const ownSecrets = await readSecretFlags(flags.secrets, ports);
  const setupSecrets = await readSetupSecrets(flags, ports);
  const taken = Object.keys(setupSecrets).find((name) => Object.hasOwn(ownSecrets, name));
  if (taken !== undefined) {
    throw usage(`--secret ${taken} has a name that ${FLAG_OF[`secrets.${taken}`]} uses; rename it`);
  }
  const limits = present({
    cpu: flags.limitCpu,
    memory: flags.limitMemory,
    tasks: flags.limitTasks,
    disk: flags.limitDisk,
  });
  const retries = present({
    max: flags.retries,
    on: flags.retryOn.length === 0 ? undefined : flags.retryOn,
    delay: seconds(flags.retryDelay),
  });
  return present({
    project: flags.project,
    command: flags.argv.length === 0 ? undefined : flags.argv,
    script,
    shell: flags.shell,
    workdir: flags.workdir,
    env: unlessEmpty(env),
    secrets: unlessEmpty({ ...ownSecrets, ...setupSecrets }),
    labels: unlessEmpty(labels),
    limits: unlessEmpty(limits),
    retries: unlessEmpty(retries),
    timeout: seconds(flags.timeout),
    grace: seconds(flags.grace),
    priority: flags.priority,
    concurrency_group: flags.group,
    cancel_in_progress: flags.cancelInProgress ? true : undefined,
    output: flags.output,
    log_max: flags.logMax,
    ...setup,
  });
}

async function readJobFile(path: string, ports: JobSpecPorts): Promise<JobFile> {
  return path === "-"
    ? parseJobFile(await ports.readStdin("--file"), "(standard input)")
    : parseJobFile(await readText(path, "--file", ports), path);
}

async function readScript(path: string, ports: JobSpecPorts): Promise<string> {
  return path === "-" ? await ports.readStdin("--script") : await readText(path, "--script", ports);
}

async function readText(path: string, flag: string, ports: JobSpecPorts): Promise<string> {
  try {
    return await ports.readFile(path);
  } catch (error) {
    if (error instanceof CicdError) throw error;
    throw new CicdError("usage", `Cannot read "${path}" of ${flag}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function pairs(
  given: readonly string[],
  flag: string,
  valueOf: (name: string) => string,
): Record<string, string> {
  return Object.fromEntries(given.map((one) => {
    const equals = one.indexOf("=");
    if (equals === 0 || one === "") throw usage(`${flag} has no name; write ${flag} NAME=VALUE`);
    return equals < 0 ? [one, valueOf(one)] : [one.slice(0, equals), one.slice(equals + 1)];
  }));
}

/** Lays fields over fields; maps are joined, one level deep. */
function joined(
  base: Readonly<Record<string, unknown>>,
  over: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(over)) {
    const below = base[name];
    result[name] = isMap(value) && isMap(below) ? { ...below, ...value } : value;
  }
  return result;
}

function explain(
  error: CicdError,
  given: Readonly<Record<string, unknown>>,
  file: JobFile | undefined,
): CicdError {
  if (error.issues.length === 0) return error;
  const issues = error.issues.map(({ path, message }) => {
    const flag = flagOf(path, given);
    if (flag !== undefined) return { path: flag, message };
    const place = file?.placeOf(path);
    return place === undefined ? { path, message } : { path: place, message: `${path} ${message}` };
  });
  const named = issues.some(({ path }, index) => path !== error.issues[index]?.path);
  return named
    ? new CicdError(error.code, "Cannot accept the job as it is given", { issues, cause: error })
    : error;
}

function flagOf(path: string, given: Readonly<Record<string, unknown>>): string | undefined {
  const [top = "", name] = path.split(".");
  const value = given[top];
  if (value === undefined) return undefined;
  if (isMap(value) && (name === undefined || !(name in value))) return undefined;
  const exact = FLAG_OF[path];
  if (exact !== undefined) return exact;
  const plural = { env: "--env", secrets: "--secret", labels: "--label" }[top];
  if (plural !== undefined) return `${plural} ${path.slice(top.length + 1)}`;
  return FLAG_OF[`${top}.${name}`] ?? FLAG_OF[top];
}

function present(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function unlessEmpty<T extends object>(map: T): T | undefined {
  return Object.keys(map).length === 0 ? undefined : map;
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function usage(problem: string): CicdError {
  return new CicdError("usage", `Cannot make a job: ${problem}`);
}

/** Largest text that is read from a file or standard input, in bytes. */
export const INPUT_MAX_BYTES = Math.max(SCRIPT_MAX_BYTES, JOB_FILE_MAX_BYTES);
