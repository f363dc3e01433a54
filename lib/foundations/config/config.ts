/**
 * The configuration as the programs read it: one immutable snapshot, in sections.
 *
 * @module
 */
import * as v from "valibot";
import type { ProjectName } from "@lib/core/ids.ts";
import {
  byDefault,
  type Key,
  type KeyTable,
  projectPath,
  type Setting,
  type Together,
  type ValuesOf,
} from "@lib/foundations/config/key.ts";

/** Settings by full path, as in `projects.web.timeout`. */
export type Settings = ReadonlyMap<string, Setting>;

/** Keys that are read together; `projectKeys` can be set below `projects.<name>` only. */
export class Section<
  Keys extends KeyTable = KeyTable,
  ProjectKeys extends KeyTable = KeyTable,
> {
  readonly keys: Keys;
  readonly projectKeys: ProjectKeys;
  readonly #values = new WeakMap<Settings, ValuesOf<Keys>>();
  readonly #ofProjects = new WeakMap<
    Settings,
    Map<ProjectName | undefined, ValuesOf<Keys> & ValuesOf<ProjectKeys>>
  >();

  constructor(keys: Keys, projectKeys: ProjectKeys) {
    this.keys = keys;
    this.projectKeys = projectKeys;
  }

  /** Returns the values in `settings`; the same object for the same settings. */
  valuesIn(settings: Settings): ValuesOf<Keys> {
    const known = this.#values.get(settings);
    if (known !== undefined) return known;
    const values = parseValues(this.keys, (key) => parseSetting(key, settings.get(key.name)));
    this.#values.set(settings, values);
    return values;
  }

  /** Returns the values for a project; `undefined` stands for those without settings. */
  projectValuesIn(
    settings: Settings,
    project: ProjectName | undefined,
  ): ValuesOf<Keys> & ValuesOf<ProjectKeys> {
    type Values = ValuesOf<Keys> & ValuesOf<ProjectKeys>;
    const ofProjects = this.#ofProjects.get(settings) ?? new Map<ProjectName | undefined, Values>();
    this.#ofProjects.set(settings, ofProjects);
    const known = ofProjects.get(project);
    if (known !== undefined) return known;
    const own = (key: Key<unknown>, name: string | undefined): unknown =>
      project === undefined || name === undefined
        ? undefined
        : parseSetting(key, settings.get(projectPath(project, name)));
    const values = {
      ...parseValues(this.keys, (key) => {
        const general = parseSetting(key, settings.get(key.name));
        return overlay(general, own(key, key.project?.name));
      }),
      ...parseValues(this.projectKeys, (key) => own(key, key.name) ?? key.fallback),
    };
    ofProjects.set(project, values);
    return values;
  }
}

/** Makes a section of keys that apply to all projects, some with overrides per project. */
export function section<Keys extends KeyTable>(
  { keys }: { readonly keys: Keys },
): Section<Keys, Readonly<Record<never, never>>>;
/** Makes a section that also has keys of projects only. */
export function section<Keys extends KeyTable, ProjectKeys extends KeyTable>(
  { keys, projectKeys }: { readonly keys: Keys; readonly projectKeys: ProjectKeys },
): Section<Keys, ProjectKeys>;
export function section(
  { keys, projectKeys = {} }: { readonly keys: KeyTable; readonly projectKeys?: KeyTable },
): Section {
  return new Section(keys, projectKeys);
}

/** All keys by name. */
export interface Catalog {
  /** Keys outside `projects`, in the order of the reference. */
  readonly keys: ReadonlyMap<string, Key<unknown>>;
  /** Keys below `projects.<name>`. */
  readonly projectKeys: ReadonlyMap<string, Key<unknown>>;
  /** Tables that must be complete or empty. */
  readonly together: readonly Together<KeyTable>[];
}

/** Lists the keys of `sections`. */
export function catalogOf(sections: readonly Section[]): Catalog {
  const keys = new Map<string, Key<unknown>>();
  const projectKeys = new Map<string, Key<unknown>>();
  const whole: Together<KeyTable>[] = [];
  for (const { keys: table, projectKeys: projectTable } of sections) {
    for (const key of rowsOf(table, whole)) {
      keys.set(key.name, key);
      if (key.project === undefined) continue;
      const { name, doc } = key.project;
      const text = `\`${key.name}\``;
      projectKeys.set(name, { ...key, name, doc, fallback: undefined, text });
    }
    for (const key of rowsOf(projectTable, whole)) projectKeys.set(key.name, key);
  }
  return { keys: grouped(keys), projectKeys: grouped(projectKeys), together: whole };
}

/** Groups the keys by their map in the file, which several sections may share. */
function grouped(keys: ReadonlyMap<string, Key<unknown>>): ReadonlyMap<string, Key<unknown>> {
  const groups = Map.groupBy(keys, ([name]) => name.slice(0, Math.max(0, name.indexOf("."))));
  return new Map([...groups.values()].flat());
}

/** An immutable configuration; a reload makes another. */
export class Config {
  readonly catalog: Catalog;
  /** The effective settings; keys with neither value nor default are absent. */
  readonly settings: Settings;
  /** The projects in the file; all others have the defaults. */
  readonly projects: ReadonlySet<ProjectName>;

  constructor(parts: Pick<Config, "catalog" | "settings" | "projects">) {
    this.catalog = parts.catalog;
    this.settings = parts.settings;
    this.projects = parts.projects;
  }

  /** Returns the values of a section; cheap after the first call. */
  of<Keys extends KeyTable, ProjectKeys extends KeyTable>(
    section: Section<Keys, ProjectKeys>,
  ): ValuesOf<Keys> {
    return section.valuesIn(this.settings);
  }

  /** Returns the values of a section for a project: its own settings, else the general ones. */
  ofProject<Keys extends KeyTable, ProjectKeys extends KeyTable>(
    section: Section<Keys, ProjectKeys>,
    project: ProjectName,
  ): ValuesOf<Keys> & ValuesOf<ProjectKeys> {
    return section.projectValuesIn(
      this.settings,
      this.projects.has(project) ? project : undefined,
    );
  }

  /** Returns this configuration with a value for a key, unless it has one. */
  withDefault({ name }: Key<unknown>, value: unknown): Config {
    if (this.settings.has(name)) return this;
    const settings = new Map([...this.settings, [name, byDefault(value)]]);
    return new Config({ ...this, settings });
  }

  /** Lists the keys that changed since `before` in a way that requires a restart. */
  needsRestart(before: Config): readonly string[] {
    return [...this.catalog.keys.values()].flatMap(({ name, restart }) => {
      const now = this.settings.get(name)?.value;
      const then = before.settings.get(name)?.value;
      const differs = restart === "toggled"
        ? (now === undefined) !== (then === undefined)
        : restart === "changed" && now !== then;
      return differs ? [name] : [];
    });
  }
}

/** Finds a leading key that is set, and a missing key that it requires. */
export function missingBeside(
  { keys, leading }: Together<KeyTable>,
  settings: Settings,
): { readonly missing: string; readonly beside: string } | undefined {
  const rows = Object.entries(keys).flatMap(([property, row]) =>
    row.kind === "key" ? [{ property, name: row.name, isSet: settings.has(row.name) }] : []
  );
  const beside = rows.find(({ property, isSet }) => isSet && leading.includes(property));
  const missing = rows.find(({ isSet }) => !isSet);
  return beside && missing && { missing: missing.name, beside: beside.name };
}

function* rowsOf(table: KeyTable, whole: Together<KeyTable>[]): Iterable<Key<unknown>> {
  for (const row of Object.values(table)) {
    if (row.kind === "together") whole.push(row);
    if (row.kind === "key") yield row;
    else yield* rowsOf(row.keys, whole);
  }
}

function parseSetting<T>(key: Key<T>, setting: Setting | undefined): T | undefined {
  return setting === undefined ? undefined : v.parse(key.schema, setting.value);
}

/** Reads a table; `read` returns the checked value of a key. */
function parseValues<Keys extends KeyTable>(
  keys: Keys,
  read: (key: Key<unknown>) => unknown,
): ValuesOf<Keys> {
  const entries = Object.entries(keys).map(([property, row]): readonly [string, unknown] => {
    if (row.kind === "key") return [property, read(row)];
    const values = parseValues(row.keys, read);
    const isAbsent = row.kind === "together" && !row.leading.some((name) => name in values);
    return [property, isAbsent ? undefined : values];
  });
  const present = entries.filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as ValuesOf<Keys>;
}

/** Returns a project's own value, else the general one; maps are merged. */
function overlay(general: unknown, own: unknown): unknown {
  return isMap(general) && isMap(own) ? { ...general, ...own } : own ?? general;
}

/** Narrows a value to a map, the kind of a job's variables. */
export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
