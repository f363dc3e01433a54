/**
 * Turns the flags of `run` and `submit` into the body of `POST /v1/jobs`.
 *
 * The runner validates it; a refusal names the flag, or the place in the file, that it concerns.
 *
 * @module
 */
import { resolve } from "node:path";
import { CicdError } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { isMap } from "@lib/spine/spec/field.ts";
import { SCRIPT_MAX_BYTES } from "@lib/spine/spec/rules.ts";
import { type CliContext, remoteUrl } from "@lib/api/client/context.ts";
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

/** A request and the source of its fields. */
export interface JobSpecInput {
  readonly request: Readonly<Record<string, unknown>>;
  /** Replaces a refusal's field paths by flags and places in the file. */
  readonly explain: (error: CicdError) => CicdError;
}

/** Largest text that is read from a file or standard input: a job with a script, in bytes. */
const INPUT_MAX_BYTES = Math.max(SCRIPT_MAX_BYTES, 8 * 1024 * 1024);

/** @throws {CicdError} `usage` or `invalid_request` if the flags make no request. */
export async function readJobSpec(flags: JobFlags, ports: JobSpecPorts): Promise<JobSpecInput> {
  const file = flags.file === undefined ? undefined : await readJobFile(flags.file, ports);
  const given = await givenFields(flags, ports);
  const base: Record<string, unknown> = { ...file?.value };
  if ("command" in given || "script" in given) {
    delete base["command"];
    delete base["script"];
    if ("command" in given) {
      delete base["shell"];
      delete base["errexit"];
    }
  }
  // The flags of artifacts are merged into a map, so the short form becomes one.
  if ("artifacts" in given && Array.isArray(base["artifacts"])) {
    base["artifacts"] = { paths: base["artifacts"] };
  }
  const project = ports.env("CICD_PROJECT") || "default";
  const request = merged({ project, ...base }, given);
  if (!("command" in request) && !("script" in request)) {
    throw usage("there is nothing to run; give -- COMMAND ARGS…, --script FILE or --file FILE");
  }
  return {
    request: flags.workspace || ports.isRemote ? request : startingHere(request, ports.cwd),
    explain: (error) => explain(error, given, file),
  };
}

/** Fields that give a job a workspace with something in it. */
const IN_WORKSPACE = ["git", "files", "image", "artifacts", "caches"];

/** Returns the request of a job that starts in the caller's directory, unless it has a workspace. */
function startingHere(
  request: Readonly<Record<string, unknown>>,
  cwd: string,
): Readonly<Record<string, unknown>> {
  const { workdir = "." } = request;
  if (typeof workdir !== "string" || IN_WORKSPACE.some((name) => name in request)) return request;
  return { ...request, workdir: resolve(cwd, workdir) };
}

/** Reads the fields of a request that have flags. */
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
      throw usage(`--secret ${secret}: ${nameOf(flagged)} uses this name; rename it`);
    }
  }
  if ("command" in request && "script" in request) {
    throw usage("a command and --script exclude each other; give one");
  }
  assertRegistry(given);
  if (Object.keys(setupSecrets).length === 0) return request;
  return { ...request, secrets: { ...Object(request["secrets"]), ...setupSecrets } };
}

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
    ? await parseJobFile(await ports.readStdin("--file"), "(standard input)")
    : await parseJobFile(await readText(path, "--file", ports), path);
}

/** Merges fields; `over` wins, and maps are merged one level deep. */
function merged(
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
    ? new CicdError(error.code, "Cannot accept the job", { issues, cause: error })
    : error;
}

/** Finds the flag that set the field at a path, or a field around it. */
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
  // The flag set some entries of a map, the job file may have set others.
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

/** Opens the files, variables and standard input of this process. */
export function openInput({ env, flags }: Pick<CliContext, "env" | "flags">): JobSpecPorts {
  let reader: string | undefined;
  return {
    cwd: Deno.cwd(),
    isRemote: remoteUrl(flags, env) !== undefined,
    env: (name) => env[name],
    async readFile(path) {
      using file = await Deno.open(path);
      return await readAll(file, `"${path}"`);
    },
    async readStdin(what) {
      if (reader !== undefined) {
        throw new CicdError(
          "usage",
          `Cannot read standard input twice: ${reader} and ${what} both use it`,
        );
      }
      reader = what;
      return await readAll(Deno.stdin, "standard input");
    },
  };
}

async function readAll(
  source: { read(into: Uint8Array): Promise<number | null> },
  what: string,
): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let size = 0;
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let read = await source.read(buffer); read !== null; read = await source.read(buffer)) {
      size += read;
      if (size > INPUT_MAX_BYTES) {
        throw new CicdError(
          "usage",
          `Cannot read ${what}: it is larger than ${formatSize(INPUT_MAX_BYTES)}`,
        );
      }
      text += decoder.decode(buffer.subarray(0, read), { stream: true });
    }
    return text + decoder.decode();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new CicdError("usage", `Cannot read ${what}: it is not UTF-8 text`, { cause: error });
  }
}
