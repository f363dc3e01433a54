/**
 * Joins the sources of settings: file, then environment, then flags.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";
import type { Assignment, Assignments } from "@lib/foundations/config/assign.ts";
import { buildConfig } from "@lib/foundations/config/build_config.ts";
import { allKeys, KEYS } from "@lib/foundations/config/keys.ts";
import { formatOrigin, type Origin } from "@lib/foundations/config/origin.ts";
import type { Places } from "@lib/foundations/config/paths.ts";
import {
  resolvePaths,
  socketIssues,
  socketWarnings,
} from "@lib/foundations/config/resolve_paths.ts";
import type { Config } from "@lib/foundations/config/schema.ts";
import type { Setting, Settings } from "@lib/foundations/config/setting.ts";

/** A configuration and where each part of it comes from. */
export interface LoadedConfig {
  readonly config: Config;
  /** The effective settings; a key with neither value nor default is absent. */
  readonly settings: Settings;
  /** The origin of each setting, by its path. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** What is allowed but looks like a mistake. */
  readonly warnings: readonly string[];
}

/** What defaults depend on. */
export interface MergeContext extends Places {
  /** Logical processors. */
  readonly cores: number;
}

/**
 * Joins sources, weakest first.
 *
 * A value that a stronger source hides is still checked.
 *
 * @throws {CicdError} `invalid_config`, with every issue of every source.
 */
export function mergeConfig(
  sources: readonly Assignments[],
  context: MergeContext,
): LoadedConfig {
  const issues = sources.flatMap((source) => source.issues);
  const settings = defaultSettings(context.cores);
  for (const assignment of sources.flatMap((source) => source.assignments)) {
    const found = issuesOf(assignment);
    issues.push(...found);
    if (found.length > 0) continue;
    settings.set(assignment.path, { value: assignment.raw, origin: assignment.origin });
  }
  const projects = new Set(sources.flatMap((source) => [...source.projects]));
  issues.push(...resolvePaths(settings, projects, context));
  if (issues.length === 0) issues.push(...socketIssues(settings, projects));
  if (issues.length > 0) throw invalidConfig(issues);

  const config = buildConfig(settings, projects);
  return {
    config,
    settings,
    origins: new Map(settings.entries().map(([path, { origin }]) => [path, origin])),
    warnings: socketWarnings(config.runtimeDir),
  };
}

/** Makes the one error of a refused configuration; its issues are in the order of the file. */
export function invalidConfig(found: readonly FieldIssue[]): CicdError {
  const issues = found.toSorted((a, b) => placeInFile(a) - placeInFile(b));
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  return new CicdError(
    "invalid_config",
    `Cannot use the configuration: ${first?.path}: ${first?.message}${more}`,
    { issues },
  );
}

/** Grows with line and column; what is not in a file comes last. */
function placeInFile({ path }: FieldIssue): number {
  const match = /:(\d+):(\d+)$/.exec(path);
  return match === null ? Number.MAX_SAFE_INTEGER : Number(match[1]) * 1e6 + Number(match[2]);
}

function defaultSettings(cores: number): Map<string, Setting> {
  const settings = new Map<string, Setting>();
  for (const [path, { fallback }] of allKeys()) {
    const value = path === KEYS.queueMaxRunning.name ? Math.max(4, 2 * cores) : fallback;
    if (value !== undefined) settings.set(path, { value, origin: { kind: "default" } });
  }
  return settings;
}

function issuesOf({ path, key, raw, origin, parts }: Assignment): readonly FieldIssue[] {
  const result = v.safeParse(key.schema, raw);
  return (result.issues ?? []).map((issue) => {
    const part = issue.path?.map((step) => String(step.key)).join(".");
    const at = part === undefined ? undefined : parts?.get(part);
    return {
      path: formatOrigin(at ?? origin),
      message: `${part === undefined ? path : `${path}.${part}`} ${issue.message}`,
    };
  });
}
