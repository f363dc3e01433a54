/**
 * Configuration keys and their tables.
 *
 * A key is one row of a table; the row's property is its name in code. Values,
 * variables, flags, `config show` and the reference in `docs/configuration.md`
 * are derived from it.
 *
 * @module
 */
import type { ValueType } from "@lib/core/value_types.ts";
import type { Places } from "@lib/foundations/config/paths.ts";

/** The source of one setting, weakest first. */
export type Origin =
  | { readonly kind: "default" }
  | {
    readonly kind: "file";
    readonly file: string;
    /** Counts from 1, as does `column`. */
    readonly line: number;
    readonly column: number;
  }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "flag"; readonly name: string };

/** One effective setting. */
export interface Setting {
  /** As in a file, with paths expanded. */
  readonly value: unknown;
  readonly origin: Origin;
}

/** The facts that defaults and paths depend on. */
export interface Machine extends Places {
  /** Logical processors. */
  readonly cores: number;
}

/** Computes a default; `valueOf` returns the effective value of another key. */
export type ComputeFallback = (
  machine: Machine,
  valueOf: (name: string) => unknown,
) => Setting;

/** The counterpart of a key for one project. */
interface ProjectKey {
  /** Dotted, below `projects.<name>`. */
  readonly name: string;
  readonly doc: string;
}

/** Optional properties of a key. */
interface KeyOptions {
  /** The default in words, if it depends on the machine. */
  readonly text?: string;
  /** Lets a project override the value; maps are merged. */
  readonly project?: ProjectKey;
  /** The change that requires a restart: any, or only setting and unsetting it. */
  readonly restart?: "changed" | "toggled";
}

/** One key. */
export interface Key<T> extends ValueType<T>, KeyOptions {
  readonly kind: "key";
  /** Dotted, as in `queue.max_running`; relative to the project for a key of projects only. */
  readonly name: string;
  /** One or two sentences for the reference. */
  readonly doc: string;
  /** The default as in a file; `undefined` if there is none. */
  readonly fallback: unknown;
}

/** A nested table, whose values are nested alike. */
interface Group<Keys extends KeyTable> {
  readonly kind: "group";
  readonly keys: Keys;
}

/** A nested table that must be complete if a leading key is set, and is absent otherwise. */
export interface Together<Keys extends KeyTable> {
  readonly kind: "together";
  readonly keys: Keys;
  /** The properties that require the others. */
  readonly leading: readonly string[];
}

/** Keys by their names in code. */
export interface KeyTable {
  readonly [property: string]: Key<unknown> | Group<KeyTable> | Together<KeyTable>;
}

type ValueOf<Row> = Row extends Key<infer T> ? T
  : Row extends Together<infer Keys> ? Complete<ValuesOf<Keys>> | undefined
  : Row extends Group<infer Keys> ? ValuesOf<Keys>
  : never;

type Complete<Values> = { readonly [Name in keyof Values]-?: Exclude<Values[Name], undefined> };

type OptionalNames<Keys> = {
  [Name in keyof Keys]: undefined extends ValueOf<Keys[Name]> ? Name : never;
}[keyof Keys];

/** The values of a table: durations in milliseconds, sizes in bytes, paths absolute. */
export type ValuesOf<Keys> =
  & { readonly [Name in Exclude<keyof Keys, OptionalNames<Keys>>]: ValueOf<Keys[Name]> }
  & { readonly [Name in OptionalNames<Keys>]?: Exclude<ValueOf<Keys[Name]>, undefined> };

/**
 * Makes a key that always has a value.
 *
 * @param fallback The default as in a file, or a {@linkcode ComputeFallback}.
 */
export function key<T>(
  name: string,
  type: ValueType<T>,
  doc: string,
  fallback: NonNullable<unknown>,
  options: KeyOptions = {},
): Key<T> {
  return { ...type, ...options, kind: "key", name, doc, fallback };
}

/** Makes a key that may have no value. */
export function optionalKey<T>(
  name: string,
  type: ValueType<T>,
  doc: string,
  options: KeyOptions = {},
): Key<T | undefined> {
  return { ...type, ...options, kind: "key", name, doc, fallback: undefined };
}

/** Makes a nested table. */
export function group<Keys extends KeyTable>(keys: Keys): Group<Keys> {
  return { kind: "group", keys };
}

/**
 * Makes a nested table that must be complete or empty.
 *
 * @param leading The properties that require the others. @default {all of them}
 */
export function together<Keys extends KeyTable>(
  keys: Keys,
  leading: readonly (keyof Keys & string)[] = Object.keys(keys),
): Together<Keys> {
  return { kind: "together", keys, leading };
}

/** Makes a setting that comes from a default. */
export function byDefault(value: unknown): Setting {
  return { value, origin: { kind: "default" } };
}

/** Returns the environment variable of a key: `CICD_QUEUE_MAX_RUNNING`. */
export function envNameOf(name: string): string {
  return `CICD_${name.replaceAll(".", "_").toUpperCase()}`;
}

/** Returns the flag of a key: `--queue-max-running`. */
export function flagNameOf(name: string): string {
  return `--${name.replaceAll(/[._]/g, "-")}`;
}

/** Returns the path of a project or of one of its settings; names with a dot are quoted. */
export function projectPath(project: string, name?: string): string {
  const shown = /^[A-Za-z0-9_-]+$/.test(project) ? project : JSON.stringify(project);
  return name === undefined ? `projects.${shown}` : `projects.${shown}.${name}`;
}

/** Formats an origin: `default`, `file:line:column`, `env NAME` or `flag --name`. */
export function formatOrigin(origin: Origin): string {
  switch (origin.kind) {
    case "default":
      return "default";
    case "file":
      return `${origin.file}:${origin.line}:${origin.column}`;
    case "env":
      return `env ${origin.name}`;
    case "flag":
      return `flag ${origin.name}`;
  }
}
