/**
 * Declares the fields of a job and derives from a table of fields: the schemas of requests and
 * records, the defaults, the view for clients.
 *
 * The keys of a table are the names in the program and in records; a field's `name` is the public
 * one, in requests, views and error paths.
 *
 * @module
 */
import * as v from "valibot";
import { didYouMean } from "@lib/core/nearest.ts";
import type { JsonSchema } from "@lib/core/json_schema.ts";
import { annotated, type ValueType } from "@lib/core/value_types.ts";

/** The properties of a field besides its name and type. */
export interface FieldOptions<T> {
  /** For OpenAPI, the documentation and, without `help`, the command line. */
  readonly doc: string;
  /** A request must give it. */
  readonly required?: true;
  /** The value in requests and in older records that lack it. */
  readonly default?: T;
  /** The configuration key that gives the value for requests without it. */
  readonly setting?: string;
  /** The configuration may lack it too. */
  readonly optional?: true;
  /** The given values override the configured ones, name by name. */
  readonly merge?: true;
  /** Not part of the spec, which has a field of its own made of it. */
  readonly only?: "request";
  /** Handled before the job and reported in its setup log. */
  readonly setup?: true;
  /** The name that the flag gives a secret of the setup, which the job does not get. */
  readonly secret?: string;
  /** The view that shows it to clients. @default "spec" */
  readonly shown?: "spec" | "limits" | "never";
  /** Its fields are shown beside the others. */
  readonly spread?: true;
  /** Its flag, with the name of its value: `-t/--timeout DURATION`. */
  readonly flag?: string;
  /** The help of the flag, where `doc` does not fit. */
  readonly help?: string;
  /** The section of its flag in the help, also for the fields below. @default "Job" */
  readonly section?: "Workspace" | "Container";
}

/** A field of a job. */
export interface Field<T> extends FieldOptions<T> {
  readonly name: string;
  readonly type: ValueType<T>;
  /** Of a group: the fields below. */
  readonly fields?: Fields;
}

/** A table of fields by their names inside the program. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The value of a field. */
export type ValueOf<F> = F extends { readonly type: ValueType<infer T> } ? T : never;

/** Records of a table: every default filled in. */
export type SpecOf<T extends Fields> = Flat<
  & { readonly [K in keyof T as IsFilled<T[K]> extends true ? K : never]: ValueOf<T[K]> }
  & { readonly [K in keyof T as IsFilled<T[K]> extends true ? never : K]?: ValueOf<T[K]> }
>;

/** Parsed requests of a table, by the names of the program. */
export type GivenOf<T extends Fields> = Flat<
  & { readonly [K in keyof T as T[K] extends Mandatory ? K : never]: ValueOf<T[K]> }
  & { readonly [K in keyof T as T[K] extends Mandatory ? never : K]?: ValueOf<T[K]> }
>;

/** The values of the configuration; it may lack fields with a default here. */
export type SettingsOf<T extends Fields> = Flat<
  & { readonly [K in keyof T as SettingIn<T[K]> extends "given" ? K : never]: ValueOf<T[K]> }
  & { readonly [K in keyof T as SettingIn<T[K]> extends "maybe" ? K : never]?: ValueOf<T[K]> }
>;

/** The common fields of a request and its spec. */
export type KeptOf<T extends Fields> = {
  readonly [K in keyof T as T[K] extends { readonly only: "request" } ? never : K]: T[K];
};

type Mandatory = { readonly required: true };
type IsFilled<F> = F extends Mandatory | { readonly default: unknown } ? true
  : F extends { readonly optional: true } ? false
  : F extends { readonly setting: string } ? true
  : false;
type SettingIn<F> = F extends { readonly setting: string }
  ? F extends { readonly default: unknown } | { readonly optional: true } ? "maybe" : "given"
  : "none";
type Flat<T> = { [K in keyof T]: T[K] };

/** Declares a field. */
export function field<T, const O extends FieldOptions<NoInfer<T>>>(
  name: string,
  type: ValueType<T>,
  options: O,
): Field<T> & O & { readonly type: ValueType<T> } {
  return { ...options, name, type };
}

/** Declares a field that has fields of its own. */
export function group<const T extends Fields, const O extends FieldOptions<NoInfer<SpecOf<T>>>>(
  name: string,
  fields: T,
  options: O,
): Field<SpecOf<T>> & O & { readonly type: ValueType<SpecOf<T>>; readonly fields: T } {
  return { ...options, name, type: record(fields), fields };
}

/** The type of a table's records; as an item of a list, or below a field. */
export function record<T extends Fields>(fields: T): ValueType<SpecOf<T>> {
  const json = requestJson(fields);
  return {
    accepts: `{${Object.values(fields).map(({ name }) => name).join(", ")}}`,
    summary: "object",
    schema: v.pipe(requestSchema(fields), v.transform((given) => fill(fields, given, {}))),
    json,
    kept: recordSchema(fields),
    fromText: (text) => text,
    textsBelow: false,
    path: undefined,
    show: (value) => toView(fields, value),
  };
}

/**
 * Returns the schema of a table's requests; it refuses unknown fields.
 *
 * @param rules Rules across the fields, for OpenAPI.
 */
export function requestSchema<T extends Fields>(
  fields: T,
  rules: JsonSchema = {},
): v.GenericSchema<unknown, GivenOf<T>> {
  const names = Object.values(fields).map(({ name }) => name);
  const entries = Object.fromEntries(
    Object.values(fields).map(({ name, type, required }) => [
      name,
      required ? type.schema : v.exactOptional(type.schema),
    ]),
  );
  return v.pipe(
    annotated({ ...requestJson(fields), ...rules }),
    v.strictObject(entries, (issue) => {
      const key = String(issue.path?.at(-1)?.key ?? "");
      if (issue.expected === "never") return `is not a known field${didYouMean(key, names)}`;
      return issue.path === undefined ? "must be an object" : "is missing";
    }),
    v.transform((request) => inside(fields, request)),
  );
}

function inside<T extends Fields>(fields: T, request: Readonly<Record<string, unknown>>) {
  const given = Object.entries(fields).map(([key, { name }]) => [key, request[name]] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as GivenOf<T>;
}

/** Returns the JSON Schema of a table's requests. */
export function requestJson(fields: Fields): JsonSchema {
  const all = Object.values(fields);
  return {
    type: "object",
    properties: Object.fromEntries(
      all.map(({ name, type, doc, setting }) => [name, {
        ...type.json,
        description: setting === undefined ? doc : `${doc}; else \`${setting}\``,
      }]),
    ),
    required: all.filter(({ required }) => required).map(({ name }) => name),
    additionalProperties: false,
  };
}

/** Fills in missing values from the configuration, or the defaults of the fields. */
export function fill<T extends Fields>(
  fields: T,
  given: Readonly<Record<string, unknown>>,
  settings: Readonly<Record<string, unknown>>,
): SpecOf<T> {
  const spec: Record<string, unknown> = {};
  for (const [key, { default: fallback, setting, merge }] of Object.entries(fields)) {
    const configured = setting === undefined ? undefined : settings[key];
    const value = merge
      ? { ...Object(configured), ...Object(given[key]) }
      : given[key] ?? configured ?? fallback;
    if (value !== undefined) spec[key] = value;
  }
  return spec as SpecOf<T>;
}

/**
 * Returns the schema of a table's records on disk and between the programs.
 *
 * Unknown fields are kept and missing ones filled in, so that neighbouring releases read each
 * other's records.
 */
export function recordSchema<T extends Fields>(fields: T): v.GenericSchema<unknown, SpecOf<T>> {
  const entries = Object.fromEntries(
    Object.entries(fields).map(([key, { type: { kept }, default: fallback, ...of }]) => [
      key,
      fallback !== undefined
        ? v.optional(kept, () => fallback)
        : alwaysStored(of)
        ? kept
        : v.exactOptional(kept),
    ]),
  );
  return v.pipe(v.looseObject(entries), v.transform((kept) => kept as SpecOf<T>));
}

/** Returns true if every record has a field, apart from those with a default. */
export function alwaysStored({ required, setting, optional }: Partial<Field<unknown>>): boolean {
  return required === true || (setting !== undefined && optional !== true);
}

/** Fills in the missing fields of an older record, which was checked when it was written. */
export function fillMissing(fields: Fields, value: Record<string, unknown>): void {
  for (const key in fields) {
    const below = value[key];
    if (below === undefined) {
      const fallback = fields[key]?.default;
      if (fallback !== undefined) value[key] = fallback;
    } else if (fields[key]?.fields !== undefined && isMap(below)) {
      fillMissing(fields[key].fields, below);
    }
  }
}

/** Returns the view of a record for clients, by the public names. */
export function toView(fields: Fields, value: object, shown = "spec"): Record<string, unknown> {
  const values = new Map(Object.entries(value));
  const view: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(fields)) {
    const one = values.get(key);
    if (one === undefined || (field.shown ?? "spec") !== shown) continue;
    const seen = field.type.show === undefined ? one : field.type.show(one);
    if (field.spread) Object.assign(view, seen);
    else view[viewName(field)] = seen;
  }
  return view;
}

/** Returns the name of a field in views: with its unit. */
export function viewName({ name, type: { unit } }: Field<unknown>): string {
  return unit === undefined ? name : `${name}_${unit}`;
}

/** Yields every field of a table and its groups, with its public path. */
export function* walk(
  fields: Fields,
  above: { readonly path: string; readonly section: string } = { path: "", section: "Job" },
): Generator<{ readonly path: string; readonly section: string; readonly field: Field<unknown> }> {
  for (const field of Object.values(fields)) {
    const path = above.path === "" ? field.name : `${above.path}.${field.name}`;
    const section = field.section ?? above.section;
    yield { path, section, field };
    if (field.fields !== undefined) yield* walk(field.fields, { path, section });
  }
}

/** Yields the names of the setup's secrets in a request or record, with the paths of their fields. */
export function* namedSecrets(
  fields: Fields,
  value: object,
  above = "",
): Generator<readonly [path: string, name: string]> {
  const values = new Map<string, unknown>(Object.entries(value));
  for (const [key, { name, secret, fields: below }] of Object.entries(fields)) {
    const one = values.get(key);
    if (secret !== undefined && typeof one === "string") yield [`${above}${name}`, one];
    if (below !== undefined && isMap(one)) yield* namedSecrets(below, one, `${above}${name}.`);
  }
}

/** Returns true if a value is an object. */
export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
