/**
 * Converts flags whose text differs from the field's value in a request.
 *
 * @module
 */
import { resolve } from "node:path";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { parseSecretReference, resolveSecret } from "@lib/foundations/secrets/references.ts";

/** The inputs of a command line beside its flags. */
export interface JobSpecPorts {
  readonly cwd: string;
  /** The runner is on another machine, which does not have the caller's directory. */
  readonly isRemote: boolean;
  readonly env: (name: string) => string | undefined;
  readonly readFile: (path: string) => Promise<string>;
  /** Reads standard input to its end; a second reader is refused. */
  readonly readStdin: (what: string) => Promise<string>;
}

/** Turns all texts given to a flag into a field's value. */
type Converter = (texts: readonly string[], ports: JobSpecPorts) => unknown;

/** Converters by field path. */
export const CONVERTERS: Readonly<Record<string, Converter>> = {
  script: ([path = ""], ports) =>
    path === "-" ? ports.readStdin("--script") : readText(path, "--script", ports),
  errexit: () => false,
  env: (texts, ports) =>
    pairs(texts, "--env", (name) => {
      const value = ports.env(name);
      if (value !== undefined) return value;
      throw usage(`--env ${name} passes on a variable that is not set; write --env ${name}=VALUE`);
    }),
  secrets: readSecrets,
  labels: (texts) =>
    pairs(texts, "--label", (name) => {
      throw usage(`--label ${name} has no value; write --label ${name}=VALUE`);
    }),
  "container.mounts": (texts, { cwd }) => texts.map((text) => mountOf(text, cwd)),
  "container.ulimits": (texts) => Object.fromEntries(texts.map(ulimitOf)),
  "container.registry.password_secret": ([source = ""], ports) =>
    readSecret(source, "--registry-password", " ", ports),
  "git.token_secret": ([source = ""], ports) => readSecret(source, "--git-token", " ", ports),
  caches: (texts) => texts.map(cacheOf),
};

/** @throws {CicdError} `usage` */
export async function readText(
  path: string,
  flag: string,
  { readFile }: JobSpecPorts,
): Promise<string> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof CicdError) throw error;
    throw new CicdError("usage", `Cannot read "${path}" of ${flag}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Returns the error for flags that make no job. */
export function usage(problem: string): CicdError {
  return new CicdError("usage", `Cannot make a job: ${problem}`);
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

function mountOf(flag: string, cwd: string) {
  const [source = "", target = "", mode = "ro", ...more] = flag.split(":");
  if (source === "" || target === "" || !["ro", "rw"].includes(mode) || more.length > 0) {
    throw usage(`--mount ${flag} is not a mount; write --mount SOURCE:TARGET or SOURCE:TARGET:rw`);
  }
  return { source: resolve(cwd, source), target, read_only: mode === "ro" };
}

function ulimitOf(flag: string): readonly [string, number] {
  const [, name = "", count = ""] = /^([a-z]+)=(\d{1,15})$/.exec(flag) ?? [];
  if (name === "") throw usage(`--ulimit ${flag} is not a limit; write one such as nofile=1024`);
  return [name, Number(count)];
}

function cacheOf(flag: string) {
  const [, name, paths, files] = /^([^=]+)=([^:]+)(?::(.*))?$/s.exec(flag) ?? [];
  if (name === undefined || paths === undefined) {
    throw usage(
      `--cache ${flag} names no directory; write --cache NAME=PATH or --cache NAME=PATH:KEYFILE`,
    );
  }
  const keyFiles = words(files ?? "");
  return { name, paths: words(paths), ...(keyFiles.length === 0 ? {} : { key_files: keyFiles }) };
}

function words(list: string): readonly string[] {
  return list.split(",").map((word) => word.trim()).filter((word) => word !== "");
}

/** Reads `NAME=SOURCE`. @throws {CicdError} `usage`; no message holds a value. */
export async function readSecrets(
  flags: readonly string[],
  ports: JobSpecPorts,
): Promise<Readonly<Record<string, string>>> {
  const secrets: [string, string][] = [];
  for (const flag of flags) {
    const equals = flag.indexOf("=");
    if (equals <= 0) {
      throw secretUsage(
        "write --secret NAME=SOURCE, where SOURCE is file:PATH, env:NAME, or - for standard input",
      );
    }
    const name = flag.slice(0, equals);
    const value = await readSecret(flag.slice(equals + 1), `--secret ${name}`, "=", ports);
    secrets.push([name, value]);
  }
  return Object.fromEntries(secrets);
}

/**
 * Reads `file:PATH`, `env:NAME`, `credential:NAME` or `-`.
 *
 * @param separator Stands between `flag` and the source.
 * @throws {CicdError} `usage` if it is none of these; no message holds the value.
 */
async function readSecret(
  source: string,
  flag: string,
  separator: string,
  ports: JobSpecPorts,
): Promise<string> {
  if (source === "-") {
    const value = (await ports.readStdin(flag)).replace(/\r?\n$/, "");
    if (value !== "") return value;
    throw secretUsage(`standard input is empty; it must contain the secret of ${flag}`);
  }
  const reference = source.startsWith("file:")
    ? `file:${resolve(ports.cwd, source.slice("file:".length))}`
    : source;
  try {
    if (parseSecretReference(reference, { field: flag }).kind === "literal") {
      const give = `${flag}${separator}`;
      throw secretUsage(
        `the value of ${flag} is on the command line, where every process of this machine and the ` +
          `shell's history can read it; write ${give}file:PATH, ${give}env:NAME, or ${give}- and ` +
          "give it on standard input",
      );
    }
    return resolveSecret(reference, { field: flag, env: ports.env }).expose();
  } catch (error) {
    if (!(error instanceof CicdError) || error.code !== "invalid_config") throw error;
    throw new CicdError("usage", error.message, { cause: error });
  }
}

function secretUsage(problem: string): CicdError {
  return new CicdError("usage", `Cannot read the secret: ${problem}`);
}
