/**
 * Merges file, environment and flags into a checked configuration, without I/O.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import {
  assignEnv,
  assignFile,
  assignFlags,
  type Assignment,
  type FileSource,
  strayEnvWarnings,
} from "@lib/foundations/config/assign.ts";
import {
  type Catalog,
  catalogOf,
  Config,
  missingBeside,
  type Section,
  type Settings,
} from "@lib/foundations/config/config.ts";
import {
  byDefault,
  type ComputeFallback,
  formatOrigin,
  type Key,
  type Machine,
  projectPath,
  type Setting,
} from "@lib/foundations/config/key.ts";
import { resolvePath } from "@lib/foundations/config/paths.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { socketIssues, socketWarnings } from "@lib/foundations/config/socket_paths.ts";

/** A configuration and its likely mistakes. */
export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
}

/** The sources of {@linkcode loadConfig}. */
export interface LoadConfigInput extends Machine {
  readonly sections: readonly Section[];
  /** Absent: no file. */
  readonly file?: FileSource;
  /** Texts by key path, as in `queue.max_running`. */
  readonly flags?: ReadonlyMap<string, string>;
}

/**
 * Loads a configuration from file, environment and flags; the last wins. Overridden values are
 * also checked.
 *
 * @throws {CicdError} `invalid_config`, with every issue of every source; each issue's path is
 * `file:line:column`, `env NAME` or `flag --name`.
 */
export function loadConfig(input: LoadConfigInput): LoadedConfig {
  const { sections, file, flags, env } = input;
  const catalog = catalogOf(sections);
  const sources = [
    ...(file === undefined ? [] : [assignFile(file, catalog)]),
    assignEnv(env, catalog),
    ...(flags === undefined ? [] : [assignFlags(flags, catalog)]),
  ];
  const issues = sources.flatMap((source) => source.issues);
  const given = new Map<string, Setting>();
  for (const assignment of sources.flatMap((source) => source.assignments)) {
    const found = issuesOf(assignment);
    issues.push(...found);
    if (found.length > 0) continue;
    given.set(assignment.path, { value: assignment.raw, origin: assignment.origin });
  }
  const projects = new Set(sources.flatMap((source) => [...source.projects]));
  const settings = settle({ catalog, given, projects, machine: input, issues });
  if (issues.length === 0) {
    const config = new Config({ catalog, settings, projects });
    issues.push(...socketIssues(config), ...incompleteIssues(catalog, settings));
    const { runtimeDir } = config.of(PROGRAM);
    const warnings = [...socketWarnings(runtimeDir), ...strayEnvWarnings(env, catalog)];
    if (issues.length === 0) return { config, warnings };
  }
  throw invalidConfig(issues);
}

/** Makes the error of an invalid configuration, with its issues in the order of the file. */
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

/** Returns a sort key: by line and column, then issues outside the file. */
function placeInFile({ path }: FieldIssue): number {
  const match = /:(\d+):(\d+)$/.exec(path);
  return match === null ? Number.MAX_SAFE_INTEGER : Number(match[1]) * 1e6 + Number(match[2]);
}

interface Settling {
  readonly catalog: Catalog;
  readonly given: Settings;
  readonly projects: ReadonlySet<ProjectName>;
  readonly machine: Machine;
  /** Receives problems with paths. */
  readonly issues: FieldIssue[];
}

/** Adds the defaults to the given settings, and makes paths absolute. */
function settle({ catalog, given, projects, machine, issues }: Settling): Settings {
  const expand = (path: string, key: Key<unknown>, setting: Setting): Setting | undefined => {
    if (key.path === undefined || typeof setting.value !== "string") return setting;
    const resolved = resolvePath(setting.value, key.path, machine);
    if (resolved.kind === "path") return { ...setting, value: resolved.path };
    issues.push({ path: formatOrigin(setting.origin), message: `${path} ${resolved.message}` });
    return undefined;
  };
  const known = new Map<string, Setting | undefined>();
  const effective = (key: Key<unknown>): Setting | undefined => {
    if (known.has(key.name)) return known.get(key.name);
    const setting = given.get(key.name) ?? defaultOf(key, machine, (name) => {
      const other = catalog.keys.get(name);
      return other && effective(other)?.value;
    });
    const expanded = setting && expand(key.name, key, setting);
    known.set(key.name, expanded);
    return expanded;
  };
  const settings = new Map<string, Setting>();
  const add = (path: string, setting: Setting | undefined): void => {
    if (setting !== undefined) settings.set(path, setting);
  };
  for (const [name, key] of catalog.keys) add(name, effective(key));
  for (const project of projects) {
    for (const [name, key] of catalog.projectKeys) {
      const path = projectPath(project, name);
      const setting = given.get(path);
      add(path, setting && expand(path, key, setting));
    }
  }
  return settings;
}

function defaultOf(
  { fallback }: Key<unknown>,
  machine: Machine,
  valueOf: (name: string) => unknown,
): Setting | undefined {
  if (fallback === undefined) return undefined;
  return isComputed(fallback) ? fallback(machine, valueOf) : byDefault(fallback);
}

function isComputed(fallback: unknown): fallback is ComputeFallback {
  return typeof fallback === "function";
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

function incompleteIssues({ together }: Catalog, settings: Settings): readonly FieldIssue[] {
  return together.flatMap((table) => {
    const found = missingBeside(table, settings);
    return found === undefined ? [] : [{
      path: found.missing,
      message: `is missing; ${found.beside} requires it`,
    }];
  });
}
