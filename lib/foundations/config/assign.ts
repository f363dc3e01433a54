/**
 * Turns each source of settings into assignments to keys.
 *
 * @module
 */
import type { FieldIssue } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName, projectNameProblem } from "@lib/core/ids.ts";
import { didYouMean, nearest } from "@lib/core/nearest.ts";
import type { Catalog } from "@lib/foundations/config/config.ts";
import {
  envNameOf,
  flagNameOf,
  formatOrigin,
  type Key,
  type Origin,
  projectPath,
} from "@lib/foundations/config/key.ts";
import type { Position, SourceNode } from "@lib/foundations/config/yaml_source.ts";

/** An unchecked value for one key. */
export interface Assignment {
  /** The full path, as in `projects.web.timeout`; unique per setting. */
  readonly path: string;
  readonly project?: ProjectName;
  readonly key: Key<unknown>;
  readonly raw: unknown;
  readonly origin: Origin;
  /** Origins of the parts of a map or list, by name or index. */
  readonly parts?: ReadonlyMap<string, Origin>;
}

/** The contents of a source. */
export interface Assignments {
  readonly assignments: readonly Assignment[];
  /** The projects named, including those without a setting. */
  readonly projects: ReadonlySet<ProjectName>;
  readonly issues: readonly FieldIssue[];
}

/** A file that was read. */
export interface FileSource {
  readonly name: string;
  /** Absent if the file is empty. */
  readonly root: SourceNode | undefined;
}

/** Reads the tree of a file; empty values are ignored. */
export function assignFile(
  { name: file, root }: FileSource,
  { keys, projectKeys }: Catalog,
): Assignments {
  const issues: FieldIssue[] = [];
  const assignments: Assignment[] = [];
  const projects = new Set<ProjectName>();

  const originAt = (at: Position): Origin => ({ kind: "file", file, ...at });
  const refuse = (at: Position, message: string): void => {
    issues.push({ path: formatOrigin(originAt(at)), message });
  };

  const walk = (
    node: SourceNode,
    prefix: string,
    known: ReadonlyMap<string, Key<unknown>>,
    project?: ProjectName,
  ): void => {
    const shown = (name: string) => project === undefined ? name : projectPath(project, name);
    if (isNull(node)) return;
    if (node.kind !== "map") {
      const whole = project === undefined ? "the file" : projectPath(project);
      const what = prefix === "" ? whole : shown(prefix);
      return refuse(node.at, `${what} is ${described(node)}; give a map of keys`);
    }
    for (const entry of node.entries) {
      const name = prefix === "" ? entry.name : `${prefix}.${entry.name}`;
      // A dotted name in the file is one name, not a path.
      const dotted = entry.name.includes(".");
      const key = dotted ? undefined : known.get(name);
      if (key !== undefined) {
        if (isNull(entry.node)) continue;
        assignments.push({
          path: shown(name),
          ...(project === undefined ? {} : { project }),
          key,
          raw: toPlain(entry.node, key.textsBelow),
          origin: originAt(entry.node.at),
          parts: partsOf(entry.node, originAt),
        });
      } else if (!dotted && isSection(name, known)) {
        walk(entry.node, name, known, project);
      } else if (name === "projects" && project === undefined) {
        walkProjects(entry.node);
      } else {
        refuse(entry.at, `unknown key "${shown(name)}"${suggest(entry.name, prefix, known)}`);
      }
    }
  };

  const walkProjects = (node: SourceNode): void => {
    if (isNull(node)) return;
    if (node.kind !== "map") {
      return refuse(node.at, `projects is ${described(node)}; give a map of project names`);
    }
    for (const entry of node.entries) {
      const project = parseProjectName(entry.name);
      if (project === undefined) {
        const problem = projectNameProblem(entry.name) ?? "is not a project name";
        refuse(entry.at, `projects: the name ${JSON.stringify(entry.name)} ${problem}`);
        continue;
      }
      projects.add(project);
      walk(entry.node, "", projectKeys, project);
    }
  };

  if (root !== undefined) walk(root, "", keys);
  return { assignments, projects, issues };
}

/** Reads the environment variables of the keys; empty ones are ignored. */
export function assignEnv(
  env: Readonly<Record<string, string | undefined>>,
  { keys }: Catalog,
): Assignments {
  const assignments: Assignment[] = [];
  for (const [path, key] of keys) {
    const name = envNameOf(path);
    const text = env[name];
    if (text === undefined || text === "") continue;
    assignments.push({ path, key, raw: key.fromText(text), origin: { kind: "env", name } });
  }
  return { assignments, projects: new Set(), issues: [] };
}

/** Reads flags given by key path, as in `queue.max_running`. */
export function assignFlags(
  flags: ReadonlyMap<string, string>,
  { keys }: Catalog,
): Assignments {
  const assignments: Assignment[] = [];
  const issues: FieldIssue[] = [];
  for (const [path, text] of flags) {
    const key = keys.get(path);
    const origin: Origin = { kind: "flag", name: flagNameOf(path) };
    if (key === undefined) {
      const message = `unknown key "${path}"${didYouMean(path, keys.keys())}`;
      issues.push({ path: formatOrigin(origin), message });
    } else {
      assignments.push({ path, key, raw: key.fromText(text), origin });
    }
  }
  return { assignments, projects: new Set(), issues };
}

/**
 * Warns of variables whose names resemble that of a key.
 *
 * Other `CICD_` variables are ignored: jobs have some.
 */
export function strayEnvWarnings(
  env: Readonly<Record<string, string | undefined>>,
  { keys }: Catalog,
): readonly string[] {
  const names = [...keys.keys()].map(envNameOf);
  const known = new Set([...names, ...OTHER_VARIABLES]);
  return Object.keys(env).filter((name) => name.startsWith("CICD_") && !known.has(name))
    .flatMap((name) => {
      const near = nearest(name.slice(5), names.map((each) => each.slice(5)));
      return near === undefined ? [] : [`${name} is set but has no effect; CICD_${near} would`];
    });
}

/** Variables of the suite that do not set a key. */
const OTHER_VARIABLES = [
  "CICD_ATTEMPT",
  "CICD_CONFIG",
  "CICD_JOB_ID",
  "CICD_PROJECT",
  "CICD_TOOLKIT_CACHE",
  "CICD_WORKSPACE",
];

function isNull(node: SourceNode): boolean {
  return node.kind === "scalar" && node.value === null;
}

function isSection(name: string, known: ReadonlyMap<string, Key<unknown>>): boolean {
  return known.keys().some((each) => each.startsWith(`${name}.`));
}

function partsOf(
  node: SourceNode,
  originAt: (at: Position) => Origin,
): ReadonlyMap<string, Origin> {
  switch (node.kind) {
    case "scalar":
      return new Map();
    case "map":
      return new Map(node.entries.map((entry) => [entry.name, originAt(entry.at)]));
    case "list":
      return new Map(node.items.map((item, index) => [String(index), originAt(item.at)]));
  }
}

/** Suggests a similar name in the same section, else the same name in another section. */
function suggest(
  name: string,
  section: string,
  known: ReadonlyMap<string, Key<unknown>>,
): string {
  const prefix = section === "" ? "" : `${section}.`;
  const siblings = new Set<string>(section === "" && known.has("socket") ? ["projects"] : []);
  for (const path of known.keys()) {
    if (!path.startsWith(prefix)) continue;
    siblings.add(path.slice(prefix.length).split(".")[0] ?? "");
  }
  const near = didYouMean(name, siblings);
  if (near !== "") return near;
  const elsewhere = known.keys().find((path) => path.split(".").at(-1) === name);
  return elsewhere === undefined ? "" : `; did you mean "${elsewhere}"?`;
}

function described(node: SourceNode): string {
  switch (node.kind) {
    case "scalar":
      return `the value ${JSON.stringify(node.text.slice(0, 60))}`;
    case "map":
      return "a map";
    case "list":
      return "a list";
  }
}

/**
 * Returns the value of a node, without positions. A name such as `__proto__` is not special.
 *
 * @param texts Keeps scalars, except null, as written.
 */
function toPlain(node: SourceNode, texts: boolean): unknown {
  switch (node.kind) {
    case "scalar":
      return texts && node.value !== null ? node.text : node.value;
    case "map":
      return Object.fromEntries(
        node.entries.map((entry) => [entry.name, toPlain(entry.node, texts)]),
      );
    case "list":
      return node.items.map((item) => toPlain(item, texts));
  }
}
