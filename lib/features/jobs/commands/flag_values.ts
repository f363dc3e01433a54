/**
 * From the texts of flags to the fields of a request, where a value is not written as in a request.
 *
 * @module
 */
import { resolve } from "node:path";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import {
  readSecretFlags,
  readSecretSource,
  type SecretPorts,
} from "@lib/features/jobs/commands/secret_flags.ts";

/** What a job is made with. */
export interface JobSpecPorts extends SecretPorts {
  readonly readFile: (path: string) => Promise<string>;
}

/** Turns what was given to a flag, all of it if the flag may be repeated, into a field's value. */
type Converter = (texts: readonly string[], ports: JobSpecPorts) => unknown;

/** The converters by the paths of the fields. */
export const CONVERTERS: Readonly<Record<string, Converter>> = {
  script: ([path = ""], ports) =>
    path === "-" ? ports.readStdin("--script") : readText(path, "--script", ports),
  env: (texts, ports) =>
    pairs(texts, "--env", (name) => {
      const value = ports.env(name);
      if (value !== undefined) return value;
      throw usage(`--env ${name} passes on a variable that is not set; write --env ${name}=VALUE`);
    }),
  secrets: readSecretFlags,
  labels: (texts) =>
    pairs(texts, "--label", (name) => {
      throw usage(`--label ${name} has no value; write --label ${name}=VALUE`);
    }),
  "container.mounts": (texts, { cwd }) => texts.map((text) => mountOf(text, cwd)),
  "container.ulimits": (texts) => Object.fromEntries(texts.map(ulimitOf)),
  "container.registry.password_secret": ([source = ""], ports) =>
    readSecret("--registry-password", source, ports),
  "git.token_secret": ([source = ""], ports) => readSecret("--git-token", source, ports),
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

/** Says what is wrong with the flags. */
export function usage(problem: string): CicdError {
  return new CicdError("usage", `Cannot make a job: ${problem}`);
}

async function readSecret(flag: string, source: string, ports: SecretPorts): Promise<string> {
  return await readSecretSource(source, { flag, before: `${flag} ` }, ports);
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
    throw usage(`--mount ${flag} is no mount; write --mount SOURCE:TARGET or SOURCE:TARGET:rw`);
  }
  return { source: resolve(cwd, source), target, read_only: mode === "ro" };
}

function ulimitOf(flag: string): readonly [string, number] {
  const [, name = "", count = ""] = /^([a-z]+)=(\d{1,15})$/.exec(flag) ?? [];
  if (name === "") throw usage(`--ulimit ${flag} is no limit; write one such as nofile=1024`);
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
