/**
 * From the flags of `run` and `submit` to the body of `POST /v1/jobs`.
 *
 * The runner validates; what it refuses is told with the flag, or the place in
 * the file, that it came from.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { isMap } from "@lib/spine/spec/field.ts";
import { SCRIPT_MAX_BYTES } from "@lib/spine/spec/rules.ts";
import {
  CONVERTERS,
  type JobSpecPorts,
  readText,
  usage,
} from "@lib/features/jobs/commands/flag_values.ts";
import {
  type FlaggedField,
  flaggedFields,
  type JobFlags,
} from "@lib/features/jobs/commands/grammar_job_flags.ts";
import { type JobFile, parseJobFile } from "@lib/features/jobs/commands/job_file.ts";

export type { JobSpecPorts } from "@lib/features/jobs/commands/flag_values.ts";

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

/** The fields of a request that the flags give. */
async function givenFields(
  { argv, given }: JobFlags,
  ports: JobSpecPorts,
): Promise<Record<string, unknown>> {
  const request: Record<string, unknown> = argv.length === 0 ? {} : { command: argv };
  const setupSecrets: Record<string, unknown> = {};
  for (const flagged of flaggedFields()) {
    const { path, field: { secret } } = flagged;
    const written = given[path];
    const texts = [written].flat().filter((one) => one !== undefined);
    if (texts.length === 0) continue;
    const convert = CONVERTERS[path];
    const value = convert === undefined ? written : await convert(texts.map(String), ports);
    if (secret !== undefined) setupSecrets[secret] = value;
    place(request, path, secret ?? value);
    const own = isMap(request["secrets"]) ? request["secrets"] : {};
    if (secret !== undefined && Object.hasOwn(own, secret)) {
      throw usage(`--secret ${secret} has a name that ${nameOf(flagged)} uses; rename it`);
    }
  }
  if ("command" in request && "script" in request) {
    throw usage("a command and --script stand side by side; give one");
  }
  assertRegistry(given);
  if (Object.keys(setupSecrets).length === 0) return request;
  return { ...request, secrets: { ...Object(request["secrets"]), ...setupSecrets } };
}

/** Either flag makes the other's secret or account useless. */
function assertRegistry(given: JobFlags["given"]): void {
  const { length } = ["username", "password_secret"].filter((name) =>
    given[`container.registry.${name}`] !== undefined
  );
  if (length === 1) {
    throw usage("--registry-user and --registry-password go together; give both or none");
  }
}

/** Puts a value at a path, making the maps on the way. */
function place(request: Record<string, unknown>, path: string, value: unknown): void {
  const [top = "", ...rest] = path.split(".");
  if (rest.length === 0) request[top] = value;
  else {
    const below = isMap(request[top]) ? request[top] : {};
    request[top] = below;
    place(below, rest.join("."), value);
  }
}

async function readJobFile(path: string, ports: JobSpecPorts): Promise<JobFile> {
  return path === "-"
    ? parseJobFile(await ports.readStdin("--file"), "(standard input)")
    : parseJobFile(await readText(path, "--file", ports), path);
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

/** The flag that gave the field at a path, or the one around it. */
function flagOf(path: string, given: Readonly<Record<string, unknown>>): string | undefined {
  if (`${path}.`.startsWith("command.")) return "command" in given ? "COMMAND" : undefined;
  const [flagged] = flaggedFields()
    .filter((one) =>
      path === `secrets.${one.field.secret}` || `${path}.`.startsWith(`${one.path}.`) ||
      one.path.startsWith(`${path}.`)
    )
    .filter((one) => valueAt(given, one.path) !== undefined)
    .sort((a, b) => b.path.length - a.path.length);
  if (flagged === undefined) return undefined;
  const name = nameOf(flagged);
  // Of a map the flag gave some names, a job file may have given others.
  if (!flagged.field.type.textsBelow || !path.startsWith(`${flagged.path}.`)) return name;
  const below = path.slice(flagged.path.length + 1);
  const map = valueAt(given, flagged.path);
  return isMap(map) && below in map ? `${name} ${below}` : undefined;
}

function valueAt(value: unknown, path: string): unknown {
  return path.split(".").reduce((below, name) => isMap(below) ? below[name] : undefined, value);
}

function nameOf({ names }: FlaggedField): string {
  return names.find((name) => name.startsWith("--")) ?? "";
}

/** Largest text that is read from a file or standard input, in bytes. */
export const INPUT_MAX_BYTES = Math.max(SCRIPT_MAX_BYTES, JOB_FILE_MAX_BYTES);
