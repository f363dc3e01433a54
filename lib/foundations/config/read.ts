/**
 * Reads the configuration of this machine.
 *
 * @module
 */
import { ownHome } from "@lib/core/account.ts";
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { CicdError } from "@lib/core/errors.ts";
import { type Config, isMap, type Section } from "@lib/foundations/config/config.ts";
import { invalidConfig, loadConfig, type LoadedConfig } from "@lib/foundations/config/load.ts";
import { placeOf } from "@lib/foundations/config/paths.ts";

/** Largest configuration file, in bytes. */
const CONFIG_MAX_BYTES = 256 * 1024;

/** Options for {@linkcode readConfig}. */
export interface ReadConfigOptions {
  readonly sections: readonly Section[];
  /** The file of `--config`, which must exist unless it is the usual one. @default {$CICD_CONFIG, else the usual place} */
  readonly path?: string;
  /** Texts by key path, as in `queue.max_running`. */
  readonly flags?: ReadonlyMap<string, string>;
  /** @default {Deno.env.toObject()} */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** A configuration and its file. */
export interface ReadConfigResult extends LoadedConfig {
  /** Absent if the usual place has no file. */
  readonly file?: string;
  /** Changes with the text of the file. */
  readonly stamp: string;
}

/**
 * Reads file, environment and flags.
 *
 * @throws {CicdError} `invalid_config` if the configuration is invalid or a named file does not
 * exist; `io_failed` if it cannot be read.
 */
export async function readConfig(options: ReadConfigOptions): Promise<ReadConfigResult> {
  const { sections, flags, signal } = options;
  const env = options.env ?? Deno.env.toObject();
  const home = ownHome(env);
  const named = options.path ?? (env["CICD_CONFIG"] || undefined);
  const usual = usualPath({ env, home });
  const path = named ?? usual;
  const file = path === undefined ? undefined : await readFile(path, signal);
  // A unit may name the usual place; nobody has to make a file there.
  if (file === undefined && named !== undefined && resolve(named) !== usual) {
    throw invalidConfig([{ path: named, message: "The file does not exist; check --config" }]);
  }
  const input = {
    sections,
    env,
    home,
    cores: navigator.hardwareConcurrency,
    ...(flags === undefined ? {} : { flags }),
  };
  if (file === undefined) return { ...loadConfig(input), stamp: "" };
  const { name, text, mode } = file;
  // The YAML parser is large: without a file it is never loaded.
  const { readYamlSource } = await import("@lib/foundations/config/yaml_source.ts");
  const { root, issues } = readYamlSource(text, name);
  if (issues.length > 0) throw invalidConfig(issues);
  const { config, warnings } = loadConfig({ ...input, file: { name, root } });
  const suspect = mode === undefined ? [] : modeWarnings(name, mode, config);
  const stamp = createHash("sha256").update(text).digest("hex");
  return { config, file: name, stamp, warnings: [...warnings, ...suspect] };
}

/** Returns the configuration of a machine without settings. */
export function defaultConfig(
  sections: readonly Section[],
  env: Readonly<Record<string, string | undefined>>,
): Config {
  const places = Object.entries(env).filter(([name]) => !name.startsWith("CICD_"));
  const { config } = loadConfig({
    sections,
    env: Object.fromEntries(places),
    home: ownHome(env),
    cores: navigator.hardwareConcurrency,
  });
  return config;
}

/** Returns the default file: `$XDG_CONFIG_HOME/cicd-toolkit/config.yaml`. */
export function usualPath(places: Parameters<typeof placeOf>[1]): string | undefined {
  const directory = placeOf("XDG_CONFIG_HOME", places);
  return directory === undefined ? undefined : `${directory}/cicd-toolkit/config.yaml`;
}

/** Warns if the mode of a file lets others read its secrets or change it. */
function modeWarnings(name: string, mode: number, { settings }: Config): readonly string[] {
  const warnings: string[] = [];
  const hasVariables = settings.values()
    .some(({ value }) => isMap(value) && Object.keys(value).length > 0);
  if ((mode & 0o044) !== 0 && hasVariables) {
    warnings.push(`${name} sets variables of jobs and others can read it; run chmod 600`);
  }
  if ((mode & 0o022) !== 0) {
    warnings.push(`${name} can be changed by others, who may then run commands; run chmod 600`);
  }
  return warnings;
}

interface ReadFile {
  readonly name: string;
  readonly text: string;
  /** Permission bits. */
  readonly mode: number | undefined;
}

async function readFile(path: string, signal: AbortSignal): Promise<ReadFile | undefined> {
  try {
    signal.throwIfAborted();
    // Checked before it is opened: opening a FIFO would wait for its writer.
    const { isFile } = await Deno.stat(path);
    if (!isFile) throw invalidConfig([{ path, message: "The path is not a regular file" }]);
    using file = await Deno.open(path);
    const { mode } = await file.stat();
    const bytes = await readBounded(file, path, signal);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return { name: path, text, mode: mode === null ? undefined : mode & 0o777 };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof TypeError) {
      throw invalidConfig([{ path, message: "The file is not UTF-8 text" }]);
    }
    if (error instanceof CicdError || signal.aborted) throw error;
    throw new CicdError("io_failed", `Cannot read the configuration "${path}": ${error}`, {
      cause: error,
    });
  }
}

async function readBounded(
  file: Deno.FsFile,
  path: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const buffer = new Uint8Array(CONFIG_MAX_BYTES + 1);
  let length = 0;
  while (length < buffer.byteLength) {
    signal.throwIfAborted();
    const read = await file.read(buffer.subarray(length));
    if (read === null) return buffer.subarray(0, length);
    length += read;
  }
  const message = `The file is larger than ${CONFIG_MAX_BYTES} bytes`;
  throw invalidConfig([{ path, message }]);
}
