/**
 * Reading the runner's answers by the schemas that document them.
 *
 * Runner and client may be of neighboring releases: unknown fields are kept, so that `--json`
 * prints them, and unknown states and reasons are accepted.
 *
 * @module
 */
import * as v from "valibot";
import type { Added } from "@lib/api/answers.ts";
import { CicdError } from "@lib/core/errors.ts";

/** The part of an answer that a client may rely on. */
export type ReadingOf<Schema> = Schema extends
  { readonly pipe: readonly [infer Root, ...unknown[]] } ? ReadingOf<Root>
  : Schema extends { readonly type: "object"; readonly entries: infer Entries }
    ? ReadingOfEntries<Entries>
  : Schema extends { readonly type: "loose_object"; readonly entries: infer Entries }
    ? ReadingOfEntries<Entries> & Readonly<Record<string, unknown>>
  : Schema extends { readonly type: "array"; readonly item: infer Item }
    ? readonly ReadingOf<Item>[]
  : Schema extends { readonly type: "nullable"; readonly wrapped: infer Wrapped }
    ? ReadingOf<Wrapped> | null
  : Schema extends { readonly type: "exact_optional"; readonly wrapped: infer Wrapped }
    ? ReadingOf<Wrapped>
  : Schema extends { readonly type: "picklist" } ? string
  : Schema extends v.GenericSchema<unknown, infer Output> ? Output
  : never;

type MayBeAbsent = Added | { readonly type: "exact_optional" };

type ReadingOfEntries<Entries> =
  & {
    readonly [Name in keyof Entries as Entries[Name] extends MayBeAbsent ? never : Name]: ReadingOf<
      Entries[Name]
    >;
  }
  & {
    readonly [Name in keyof Entries as Entries[Name] extends MayBeAbsent ? Name : never]?:
      ReadingOf<Entries[Name]>;
  };

/** Reads an answer. @throws {CicdError} `internal` if it does not match the schema. */
export type AnswerReader<T> = (value: unknown) => T;

/**
 * Makes a reader of answers that `schema` documents.
 *
 * @param what Names the answer in messages: `the job`.
 */
export function reading<Schema extends v.GenericSchema>(
  schema: Schema,
  what: string,
): AnswerReader<ReadingOf<Schema>> {
  let tolerant: v.GenericSchema | undefined;
  return function parseAnswer(value) {
    // Made on first use: a command reads few of all answers.
    tolerant ??= loosened(schema);
    const parsed = v.safeParse(tolerant, value);
    // The compiler cannot follow the recursion that makes the tolerant schema.
    if (parsed.success) return parsed.output as ReadingOf<Schema>;
    const [issue] = parsed.issues;
    const at = issue === undefined ? "" : ` (at ${v.getDotPath(issue) ?? "its top"})`;
    throw new CicdError(
      "internal",
      `Cannot read ${what}: the answer has an unexpected form${at}; ` +
        "check that runner and command line have the same version",
    );
  };
}

/** The schemas that are loosened; others are used as they are. */
type AnswerSchema =
  | v.ObjectSchema<v.ObjectEntries, undefined>
  | v.LooseObjectSchema<v.ObjectEntries, undefined>
  | v.ArraySchema<v.GenericSchema, undefined>
  | v.NullableSchema<v.GenericSchema, undefined>
  | v.ExactOptionalSchema<v.GenericSchema, undefined>
  | v.PicklistSchema<readonly string[], undefined>;

function loosened(documented: v.GenericSchema): v.GenericSchema {
  const root = rootOf(documented);
  const schema: object = root;
  if (!isAnswerSchema(schema)) return root;
  switch (schema.type) {
    case "object":
    case "loose_object":
      return v.looseObject(
        Object.fromEntries(
          Object.entries(schema.entries).map(([name, entry]) => [name, loosenedEntry(entry)]),
        ),
      );
    case "array":
      return v.array(loosened(schema.item));
    case "nullable":
      return v.nullable(loosened(schema.wrapped));
    case "exact_optional":
      return v.exactOptional(loosened(schema.wrapped));
    case "picklist":
      return v.string();
  }
}

function loosenedEntry(entry: v.GenericSchema): v.GenericSchema {
  const schema = loosened(entry);
  return "isAdded" in entry ? v.exactOptional(schema) : schema;
}

/** Returns the schema without descriptions and checks. */
function rootOf(schema: v.GenericSchema & { readonly pipe?: unknown }): v.GenericSchema {
  if (!Array.isArray(schema.pipe)) return schema;
  const [root]: readonly v.GenericSchema[] = schema.pipe;
  return root === undefined ? schema : rootOf(root);
}

function isAnswerSchema(schema: { readonly type?: unknown }): schema is AnswerSchema {
  return ["object", "loose_object", "array", "nullable", "exact_optional", "picklist"]
    .some((known) => known === schema.type);
}
