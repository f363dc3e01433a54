/**
 * From texts to a checked configuration. Touches nothing.
 *
 * @module
 */
import { joinSources, type SourcesInput } from "@lib/foundations/config/join_sources.ts";
import { invalidConfig, type LoadedConfig } from "@lib/foundations/config/merge.ts";
import { readYamlSource } from "@lib/foundations/config/yaml_source.ts";

/** The text of a configuration file. */
export interface ConfigFile {
  /** Names the file in origins and issues. */
  readonly name: string;
  readonly text: string;
}

/** What {@linkcode loadConfig} reads. */
export interface LoadConfigInput extends SourcesInput {
  /** Absent: no file, all defaults. */
  readonly file?: ConfigFile;
}

/**
 * Loads a configuration: file, then environment, then flags; the last wins.
 *
 * @throws {CicdError} `invalid_config`; each issue's path is `file:line:column`,
 * `env NAME` or `flag --name`.
 */
export function loadConfig(input: LoadConfigInput): LoadedConfig {
  const { file } = input;
  if (file === undefined) return joinSources(input, undefined);
  const { root, issues } = readYamlSource(file.text, file.name);
  if (issues.length > 0) throw invalidConfig(issues);
  return joinSources(input, { name: file.name, root });
}
