/**
 * Joins file, environment and flags into a checked configuration. Touches
 * nothing, and knows nothing of the file's language.
 *
 * @module
 */
import {
  assignEnv,
  assignFile,
  assignFlags,
  strayEnvWarnings,
} from "@lib/foundations/config/assign.ts";
import {
  type LoadedConfig,
  mergeConfig,
  type MergeContext,
} from "@lib/foundations/config/merge.ts";
import type { SourceNode } from "@lib/foundations/config/source_node.ts";

/** The sources beside the file. */
export interface SourcesInput extends MergeContext {
  /** Texts by key path, as in `queue.max_running`. */
  readonly flags?: ReadonlyMap<string, string>;
}

/** A file that has been read. */
export interface FileSource {
  /** Names the file in origins and issues. */
  readonly name: string;
  /** Absent if the file is empty. */
  readonly root: SourceNode | undefined;
}

/**
 * Joins the sources; the last of file, environment and flags wins.
 *
 * @throws {CicdError} `invalid_config`; each issue's path is `file:line:column`,
 * `env NAME` or `flag --name`.
 */
export function joinSources(input: SourcesInput, file: FileSource | undefined): LoadedConfig {
  const { env, flags = new Map<string, string>() } = input;
  const loaded = mergeConfig(
    [assignFile(file?.root, file?.name ?? ""), assignEnv(env), assignFlags(flags)],
    input,
  );
  return { ...loaded, warnings: [...loaded.warnings, ...strayEnvWarnings(env)] };
}
