/**
 * The kinds of values a configuration key may have.
 *
 * @module
 */
import * as v from "valibot";
import { formatDuration, parseDuration } from "@lib/core/duration.ts";
import { envNameProblem, envProblem } from "@lib/core/exec_limits.ts";
import { didYouMean } from "@lib/core/nearest.ts";
import { formatSize, parseSize } from "@lib/core/size.ts";

/** How a value is written, checked and read. */
export interface ValueType<T> {
  /** What may be written, to end the sentence "give …". */
  readonly accepts: string;
  /** The same in short, for a table. */
  readonly summary: string;
  /** Turns what is written into what the program uses; an issue's path leads into the value. */
  readonly schema: v.GenericSchema<unknown, T>;
  /** Turns the text of a variable or flag into what a file would hold; `undefined` if it cannot. */
  readonly fromText: (text: string) => unknown;
  /** Numbers and booleans below this value are texts, as they are written in the file. */
  readonly textsBelow: boolean;
  /** The text is a path: `~/` and XDG variables are expanded. */
  readonly path: "absolute" | "any" | undefined;
}

/** Bounds of a number, both included. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** Longer waits do not fit a timer of the runtime (2^31 ms). */
export const TIMER_MAX_MS = 24 * 86_400_000;

/** A duration; milliseconds inside. */
export function duration(bounds: Bounds): ValueType<number> {
  const range = `${bounds.min === 0 ? 0 : formatDuration(bounds.min)} to ${
    formatDuration(bounds.max)
  }`;
  return {
    ...type(`a duration such as 90s, 10m or 1h30m, or seconds, from ${range}`, (raw, accepts) => {
      if (typeof raw !== "number" && typeof raw !== "string") return refuse(raw, accepts);
      if (Number(raw) < 0 || (typeof raw === "string" && raw.trim().startsWith("-"))) {
        return { message: `is ${quote(raw)}; a duration cannot be negative` };
      }
      return within(parseDuration(raw), bounds) ?? refuse(raw, accepts);
    }),
    summary: `duration, ${range}`,
  };
}

/** A size; bytes inside. */
export function size(bounds: Bounds): ValueType<number> {
  const range = `${bounds.min === 0 ? 0 : formatSize(bounds.min)} to ${formatSize(bounds.max)}`;
  return {
    ...type(`a size such as 64K, 512M or 1.5G, or bytes, from ${range}`, (raw, accepts) => {
      if (typeof raw !== "number" && typeof raw !== "string") return refuse(raw, accepts);
      return within(parseSize(raw), bounds) ?? refuse(raw, accepts);
    }),
    summary: `size, ${range}`,
  };
}

/** A whole number. */
export function integer(bounds: Bounds): ValueType<number> {
  return {
    ...type(`a whole number from ${bounds.min} to ${bounds.max}`, (raw, accepts) => {
      const whole = typeof raw === "number" && Number.isInteger(raw) ? raw : undefined;
      return within(whole, bounds) ?? refuse(raw, accepts);
    }),
    summary: `${bounds.min} to ${bounds.max}`,
    fromText: numberFromText,
  };
}

/** A number with a fraction. */
export function decimal(bounds: Bounds): ValueType<number> {
  return {
    ...type(`a number from ${bounds.min} to ${bounds.max}`, (raw, accepts) => {
      return within(typeof raw === "number" ? raw : undefined, bounds) ?? refuse(raw, accepts);
    }),
    summary: `number, ${bounds.min} to ${bounds.max}`,
    fromText: numberFromText,
  };
}

/** One of some words. */
export function choice<const Word extends string>(words: readonly Word[]): ValueType<Word> {
  return type(words.join(" | "), (raw) => {
    const word = words.find((each) => each === raw);
    return word === undefined
      ? {
        message: `is ${quote(raw)}; give one of ${words.join(", ")}` +
          (typeof raw === "string" ? didYouMean(raw, words) : ""),
      }
      : { value: word };
  });
}

/** A path. `any` admits a relative one. */
export function path(kind: "absolute" | "any"): ValueType<string> {
  const accepts = kind === "absolute" ? "an absolute path" : "a path";
  return {
    ...type(accepts, (raw, accepted) => {
      return typeof raw === "string" && raw !== "" && raw.length <= 4_096
        ? { value: raw }
        : refuse(raw, accepted);
    }),
    path: kind,
  };
}

/** A list of names of environment variables. */
export function nameList(): ValueType<readonly string[]> {
  return {
    ...type<readonly string[]>("a list of variable names", (raw, accepts) => {
      if (!Array.isArray(raw) || raw.length > 256) return refuse(raw, accepts);
      const names: string[] = [];
      for (const [index, name] of raw.entries()) {
        if (typeof name !== "string") return { at: String(index), ...refuse(name, "a name") };
        const problem = envNameProblem(name);
        if (problem !== undefined) return { at: String(index), message: problem };
        names.push(name);
      }
      return { value: names };
    }),
    fromText: (text) => text.split(",").map((name) => name.trim()).filter((name) => name !== ""),
  };
}

/** Yes or no. */
export function flag(): ValueType<boolean> {
  return {
    ...type("true or false", (raw, accepts) => {
      return typeof raw === "boolean" ? { value: raw } : refuse(raw, accepts);
    }),
    fromText: (text) => text === "true" ? true : text === "false" ? false : text,
  };
}

/** A text on one line; `accepts` ends the sentence "give …". */
export function text(accepts: string, pattern: RegExp): ValueType<string> {
  return type(accepts, (raw) => {
    return typeof raw === "string" && raw.length <= 4_096 && pattern.test(raw)
      ? { value: raw }
      : refuse(raw, accepts);
  });
}

/** A list of texts, each of which `pattern` admits. */
export function textList(accepts: string, pattern: RegExp): ValueType<readonly string[]> {
  return {
    ...type<readonly string[]>(accepts, (raw) => {
      if (!Array.isArray(raw) || raw.length > 256) return refuse(raw, accepts);
      const texts: string[] = [];
      for (const [index, one] of raw.entries()) {
        if (typeof one !== "string" || one.length > 4_096 || !pattern.test(one)) {
          return { at: String(index), ...refuse(one, accepts) };
        }
        texts.push(one);
      }
      return { value: texts };
    }),
    fromText: (text) => text.split(",").map((one) => one.trim()).filter((one) => one !== ""),
  };
}

/** Some of some words. */
export function choices<const Word extends string>(
  words: readonly Word[],
): ValueType<readonly Word[]> {
  const accepts = `a list of ${words.join(", ")}`;
  return {
    ...type<readonly Word[]>(accepts, (raw) => {
      if (!Array.isArray(raw)) return refuse(raw, accepts);
      const chosen: Word[] = [];
      for (const [index, one] of raw.entries()) {
        const word = words.find((each) => each === one);
        if (word === undefined) {
          const hint = typeof one === "string" ? didYouMean(one, words) : "";
          return {
            at: String(index),
            message: `is ${quote(one)}; give ${words.join(", ")}${hint}`,
          };
        }
        chosen.push(word);
      }
      return { value: chosen };
    }),
    fromText: (text) => text.split(",").map((one) => one.trim()).filter((one) => one !== ""),
  };
}

/** Where a secret is to be found; never the secret itself, as the configuration is shown. */
export function secretReference(): ValueType<string> {
  const accepts = "file:/absolute/path, credential:NAME or env:NAME";
  return type(accepts, (raw) => {
    return typeof raw === "string" && /^(file:\/|credential:.|env:.)/.test(raw)
      ? { value: raw }
      : { message: `is no reference to a secret; give ${accepts}` };
  });
}

/** Variables and their values. The values are never repeated in a message. */
export function envMap(): ValueType<Readonly<Record<string, string>>> {
  return {
    ...type<Readonly<Record<string, string>>>(
      "a map from variable names to texts",
      (raw, accepts) => {
        if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
          return { message: `is no map; give ${accepts}` };
        }
        const entries: [string, string][] = [];
        for (const [name, value] of Object.entries(raw)) {
          if (typeof value !== "string") {
            return { at: name, message: `is no text; give a text, "" for an empty one` };
          }
          entries.push([name, value]);
        }
        const env = Object.fromEntries(entries);
        const problem = envProblem(env);
        return problem === undefined
          ? { value: env }
          : { at: problem.field, message: problem.message };
      },
    ),
    fromText: objectFromText,
    textsBelow: true,
  };
}

/** Shows a value in a message, shortened. */
export function quote(raw: unknown): string {
  if (typeof raw === "object" && raw !== null) return Array.isArray(raw) ? "a list" : "a map";
  const text = typeof raw === "string" ? raw : String(raw);
  const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return typeof raw === "string" ? JSON.stringify(short) : short;
}

type Verdict<T> = { readonly value: T } | Refusal;

interface Refusal {
  readonly message: string;
  readonly at?: string;
}

function type<T>(
  accepts: string,
  read: (raw: unknown, accepts: string) => Verdict<T>,
): ValueType<T> {
  return {
    accepts,
    summary: accepts.replace(/^an? /, ""),
    schema: v.pipe(
      v.unknown(),
      v.rawTransform(({ dataset, addIssue, NEVER }): T => {
        const verdict = read(dataset.value, accepts);
        if ("value" in verdict) return verdict.value;
        const { message, at } = verdict;
        if (at === undefined || at === "") addIssue({ message });
        else addIssue({ message, path: [issueStep(dataset.value, at)] });
        return NEVER;
      }),
    ),
    fromText: (text) => text,
    textsBelow: false,
    path: undefined,
  };
}

function issueStep(input: unknown, key: string): v.UnknownPathItem {
  return { type: "unknown", origin: "value", input, key, value: undefined };
}

function refuse(raw: unknown, accepts: string): Refusal {
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
