/**
 * The types of values of configuration keys, request fields and flags.
 *
 * @module
 */
import * as v from "valibot";
import { type Bounds, isLonger, json, type JsonSchema, measure } from "@lib/core/json_schema.ts";
import { formatDuration, parseDuration } from "@lib/core/duration.ts";
import { envNameProblem, envProblem } from "@lib/core/exec_limits.ts";
import { parseProjectName, type ProjectName, projectNameProblem } from "@lib/core/ids.ts";
import { didYouMean } from "@lib/core/nearest.ts";
import { formatSize, parseSize } from "@lib/core/size.ts";
import { issueStep, listReader, mapReader } from "@lib/core/value_readers.ts";

/** The ways in which a value is written, checked, read, stored and shown. */
export interface ValueType<T> {
  /** The accepted values, to end the sentence "give …". */
  readonly accepts: string;
  /** The same in short, for a table. */
  readonly summary: string;
  /** Parses input into the value; an issue's path leads into the input. */
  readonly schema: v.GenericSchema<unknown, T>;
  /** The JSON Schema of the input, for OpenAPI. */
  readonly json: JsonSchema;
  /** Checks a value of a record that the program wrote, without bounds. */
  readonly kept: v.GenericSchema<unknown, T>;
  /** Converts the text of a variable or flag to the input that a file would hold. */
  readonly fromText: (text: string) => unknown;
  /** Numbers and booleans inside this value are texts, as written in the file. */
  readonly textsBelow: boolean;
  /** The text is a path: `~/` and XDG variables are expanded. */
  readonly path: "absolute" | "any" | undefined;
  /** The words of a choice. */
  readonly words?: readonly string[];
  /** The type of a list's items. */
  readonly item?: ValueType<unknown>;
  /** Recognizes input that is the value as it is, without the cost of the schema. */
  readonly isVerbatim?: (input: unknown) => boolean;
  /** The unit in which the value is shown; its shown name ends in it. */
  readonly unit?: "seconds" | "bytes";
  /** Converts the value for clients. @default the value itself */
  show?(value: T): unknown;
}

/** Longer waits do not fit a timer of the runtime (2^31 ms). */
export const TIMER_MAX_MS = 24 * 86_400_000;

/** A duration, parsed to milliseconds. */
export function duration(bounds: Bounds): ValueType<number> {
  const range = `${bounds.min === 0 ? 0 : formatDuration(bounds.min)} to ${
    formatDuration(bounds.max)
  }`;
  const accepts = `a duration such as 90s, 10m or 1h30m, or seconds, from ${range}`;
  return {
    ...valueType(accepts, measure("duration", bounds), keptCount, (raw) => {
      if (typeof raw !== "number" && typeof raw !== "string") return refuse(raw, accepts);
      if (Number(raw) < 0 || (typeof raw === "string" && raw.trim().startsWith("-"))) {
        return { message: `is ${quote(raw)}; a duration cannot be negative` };
      }
      // Before it is rounded to milliseconds.
      if (typeof raw === "number" && within(raw * 1_000, bounds) === undefined) {
        return refuse(raw, accepts);
      }
      return within(parseDuration(raw), bounds) ?? refuse(raw, accepts);
    }),
    summary: `duration, ${range}`,
    unit: "seconds",
    show: (ms) => ms / 1_000,
  };
}

/** A size, parsed to bytes. */
export function size(bounds: Bounds): ValueType<number> {
  const range = `${bounds.min === 0 ? 0 : formatSize(bounds.min)} to ${formatSize(bounds.max)}`;
  const accepts = `a size such as 64K, 512M or 1.5G, or bytes, from ${range}`;
  return {
    ...valueType(accepts, measure("size", bounds), keptCount, (raw) => {
      if (typeof raw !== "number" && typeof raw !== "string") return refuse(raw, accepts);
      return within(parseSize(raw), bounds) ?? refuse(raw, accepts);
    }),
    summary: `size, ${range}`,
    unit: "bytes",
  };
}

/** A whole number. */
export function integer({ min, max }: Bounds): ValueType<number> {
  const accepts = `a whole number from ${min} to ${max}`;
  return {
    ...valueType(accepts, { type: "integer", minimum: min, maximum: max }, keptInteger, (raw) => {
      const whole = typeof raw === "number" && Number.isInteger(raw) ? raw : undefined;
      return within(whole, { min, max }) ?? refuse(raw, accepts);
    }),
    summary: `${min} to ${max}`,
    fromText: numberFromText,
  };
}

/** A number with a fraction. */
export function decimal({ min, max }: Bounds): ValueType<number> {
  const accepts = `a number from ${min} to ${max}`;
  return {
    ...valueType(accepts, { type: "number", minimum: min, maximum: max }, v.number(), (raw) => {
      return within(typeof raw === "number" ? raw : undefined, { min, max }) ??
        refuse(raw, accepts);
    }),
    summary: `number, ${min} to ${max}`,
    fromText: numberFromText,
  };
}

/** One of several words. */
export function choice<const Word extends string>(words: readonly Word[]): ValueType<Word> {
  return {
    ...valueType(words.join(" | "), { type: "string", enum: words }, v.picklist(words), (raw) => {
      const word = words.find((each) => each === raw);
      return word === undefined
        ? {
          message: `is ${quote(raw)}; give one of ${words.join(", ")}` +
            (typeof raw === "string" ? didYouMean(raw, words) : ""),
        }
        : { value: word };
    }),
    words,
  };
}

/** A path. `any` admits a relative one. */
export function path(kind: "absolute" | "any"): ValueType<string> {
  const accepts = kind === "absolute" ? "an absolute path" : "a path";
  return {
    ...valueType(accepts, kind === "absolute" ? json.absolute : json.path, v.string(), (raw) => {
      if (typeof raw !== "string" || raw === "" || raw.length > 4_096) return refuse(raw, accepts);
      return raw.isWellFormed()
        ? { value: raw }
        : { message: "is not valid text: half of a surrogate pair is missing" };
    }),
    path: kind,
  };
}

/** A list of names of environment variables. */
export function nameList(): ValueType<readonly string[]> {
  return listOf(variableName(), { max: 256, accepts: "a list of variable names" });
}

/** The name of a variable or a secret. */
export function variableName(): ValueType<string> {
  return valueType("a name", json.variable, v.string(), (raw) => {
    if (typeof raw !== "string") return refuse(raw, "a name");
    const message = envNameProblem(raw);
    return message === undefined ? { value: raw } : { message };
  });
}

/** The name of a project. */
export function projectName(): ValueType<ProjectName> {
  return valueType("the name of a project", json.project, keptProject, readProject);
}

/** A boolean. */
export function flag(): ValueType<boolean> {
  return {
    ...valueType("true or false", { type: "boolean" }, v.boolean(), (raw) => {
      return typeof raw === "boolean" ? { value: raw } : refuse(raw, "true or false");
    }),
    fromText: (text) => text === "true" ? true : text === "false" ? false : text,
  };
}

/** A text on one line; `accepts` ends the sentence "give …". */
export function text(accepts: string, pattern: RegExp): ValueType<string> {
  return valueType(accepts, { type: "string", pattern: pattern.source }, v.string(), (raw) => {
    return typeof raw === "string" && raw.length <= 4_096 && pattern.test(raw)
      ? { value: raw }
      : refuse(raw, accepts);
  });
}

/** Any text. Messages do not repeat it: it may be long, or a secret. */
export function anyText(maxChars = Infinity): ValueType<string> {
  const schema = { ...json.text, ...(maxChars === Infinity ? {} : { maxLength: maxChars }) };
  return {
    ...valueType("text", schema, v.string(), (raw) => {
      if (typeof raw !== "string") return { message: "must be text" };
      return isLonger(raw, maxChars)
        ? { message: `is longer than ${maxChars} characters` }
        : { value: raw };
    }),
    isVerbatim: (raw) => typeof raw === "string" && raw.length <= maxChars,
  };
}

/** A list of texts that match `pattern`. */
export function textList(accepts: string, pattern: RegExp): ValueType<readonly string[]> {
  return listOf(text(accepts, pattern), { max: 256, accepts });
}

/** Several of some words. */
export function choices<const Word extends string>(
  words: readonly Word[],
): ValueType<readonly Word[]> {
  return listOf(choice(words), { max: words.length, accepts: `a list of ${words.join(", ")}` });
}

/** A list. */
export function listOf<T>(
  item: ValueType<T>,
  { min = 0, max, accepts }: {
    readonly min?: number;
    readonly max: number;
    readonly accepts: string;
  },
): ValueType<readonly T[]> {
  const schema = {
    type: "array",
    items: item.json,
    ...(min > 0 ? { minItems: min } : {}),
    ...(max === Infinity ? {} : { maxItems: max }),
  };
  return {
    ...valueType<readonly T[]>(accepts, schema, v.array(item.kept), (raw) => refuse(raw, accepts)),
    schema: v.pipe(
      annotated(schema),
      listReader(
        item,
        (given) =>
          !Array.isArray(given)
            ? refuse(given, accepts).message
            : given.length < min
            ? "is empty"
            : given.length > max
            ? `has more than ${max} entries`
            : undefined,
      ),
    ),
    fromText: (text) => text.split(",").map((one) => one.trim()).filter((one) => one !== ""),
    item,
    show: (all) => item.show === undefined ? all : all.map((one) => item.show?.(one)),
  };
}

/** Values by name; names of JavaScript's object members are ordinary names too. */
export function mapOf<T>(
  value: ValueType<T>,
  { nameProblem, names, max = 1_024 }: {
    readonly nameProblem: (name: string) => string | undefined;
    /** The JSON Schema of the names. */
    readonly names?: JsonSchema;
    readonly max?: number;
  },
): ValueType<Readonly<Record<string, T>>> {
  const schema = {
    type: "object",
    additionalProperties: value.json,
    maxProperties: max,
    ...(names === undefined ? {} : { propertyNames: names }),
  };
  const kept = v.pipe(v.unknown(), mapReader(value.kept, () => undefined, Infinity));
  return {
    ...valueType<Readonly<Record<string, T>>>("an object", schema, kept, refuse),
    schema: v.pipe(annotated(schema), mapReader(value.schema, nameProblem, max)),
    textsBelow: true,
  };
}

/** A reference to a secret; never the secret itself, as the configuration is shown. */
export function secretReference(): ValueType<string> {
  const accepts = "file:/absolute/path, credential:NAME or env:NAME";
  return valueType(accepts, json.text, v.string(), (raw) => {
    return typeof raw === "string" && /^(file:\/|credential:.|env:.)/.test(raw)
      ? { value: raw }
      : { message: `is not a reference to a secret; give ${accepts}` };
  });
}

/** Variables and their values. */
export function envMap(
  value: ValueType<string> = anyText(),
  nameProblem = envNameProblem,
): ValueType<Readonly<Record<string, string>>> {
  const map = mapOf(value, { nameProblem, names: json.variable });
  return {
    ...map,
    accepts: "a map from variable names to texts",
    summary: "map from variable names to texts",
    schema: v.pipe(
      map.schema,
      v.rawCheck(({ dataset, addIssue }) => {
        const problem = dataset.typed ? envProblem(dataset.value) : undefined;
        if (problem === undefined) return;
        const { field, message } = problem;
        addIssue({ message, ...(field === "" ? {} : { path: [issueStep(dataset.value, field)] }) });
      }),
    ),
    fromText: objectFromText,
  };
}

/** Formats a value for a message, shortened. */
function quote(raw: unknown): string {
  if (typeof raw === "object" && raw !== null) return Array.isArray(raw) ? "a list" : "a map";
  const text = typeof raw === "string" ? raw : String(raw);
  const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return typeof raw === "string" ? JSON.stringify(short) : short;
}

/** Attaches the JSON Schema of an input, for OpenAPI; pipe the parsing schema behind it. */
export function annotated(jsonSchema: JsonSchema) {
  return v.pipe(v.unknown(), v.metadata(jsonSchema));
}

const keptInteger = v.pipe(v.number(), v.safeInteger());
const keptCount = v.pipe(keptInteger, v.minValue(0));
const keptProject = v.pipe(v.unknown(), reader(readProject, "the name of a project"));

function readProject(raw: unknown, accepts: string): Verdict<ProjectName> {
  if (typeof raw !== "string") return refuse(raw, accepts);
  const value = parseProjectName(raw);
  return value === undefined ? { message: projectNameProblem(raw) ?? "" } : { value };
}

/** A parsed value, or its problem. */
export type Verdict<T> = { readonly value: T } | Refusal;

/** The problem of a value. */
export interface Refusal {
  readonly message: string;
}

/** Makes a value type of its parts; `read` returns the value or its problem. */
export function valueType<T>(
  accepts: string,
  jsonSchema: JsonSchema,
  kept: v.GenericSchema<unknown, T>,
  read: (raw: unknown, accepts: string) => Verdict<T>,
): ValueType<T> {
  return {
    accepts,
    summary: accepts.replace(/^an? /, ""),
    schema: v.pipe(annotated(jsonSchema), reader(read, accepts)),
    json: jsonSchema,
    kept,
    fromText: (text) => text,
    textsBelow: false,
    path: undefined,
  };
}

function reader<T>(read: (raw: unknown, accepts: string) => Verdict<T>, accepts: string) {
  return v.rawTransform<unknown, T>(({ dataset, addIssue, NEVER }) => {
    const verdict = read(dataset.value, accepts);
    if ("value" in verdict) return verdict.value;
    addIssue(verdict);
    return NEVER;
  });
}

/** Refuses a value that is not accepted. */
export function refuse(raw: unknown, accepts: string): Refusal {
  return { message: `is ${quote(raw)}; give ${accepts}` };
}

function within(value: number | undefined, { min, max }: Bounds): { value: number } | undefined {
  return value !== undefined && value >= min && value <= max ? { value } : undefined;
}

function numberFromText(text: string): unknown {
  return /^\s*[+-]?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : text;
}

function objectFromText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
