/**
 * From texts to a checked configuration. Touches nothing.
 *
 * @module
 */
import { assignEnv, assignFile, assignFlags, strayEnvWarnings } from "@lib/config/assign.ts";
import {
  invalidConfig,
  type LoadedConfig,
  mergeConfig,
  type MergeContext,
} from "@lib/config/merge.ts";
import { readYamlSource } from "@lib/config/yaml_source.ts";

/** The text of a configuration file. */
export interface ConfigFile {
  /** Names the file in origins and issues. */
  readonly name: string;
  readonly text: string;
}

/** What {@linkcode loadConfig} reads. */
export interface LoadConfigInput extends MergeContext {
  /** Absent: no file, all defaults. */
  readonly file?: ConfigFile;
  /** Texts by key path, as in `queue.max_running`. */
  readonly flags?: ReadonlyMap<string, string>;
}

/**
 * Loads a configuration: file, then environment, then flags; the last wins.
 *
 * @throws {CicdError} `invalid_config`; each issue's path is `file:line:column`,
 * `env NAME` or `flag --name`.
 */
export function loadConfig(input: LoadConfigInput): LoadedConfig {
  const { file, env, flags = new Map<string, string>() } = input;
  const source = file === undefined ? undefined : readYamlSource(file.text, file.name);
  if (source !== undefined && source.issues.length > 0) throw invalidConfig(source.issues);
  const loaded = mergeConfig(
    [assignFile(source?.root, file?.name ?? ""), assignEnv(env), assignFlags(flags)],
    input,
  );
  return { ...loaded, warnings: [...loaded.warnings, ...strayEnvWarnings(env)] };
}
