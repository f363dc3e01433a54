/**
 * Building blocks of the commands' grammars.
 *
 * @module
 */
import { lineBreak, type Message, message, text } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { argument, flag } from "@optique/core/primitives";
import type { NonEmptyString } from "@optique/core/nonempty";
import type { OptionName } from "@optique/core/usage";
import type { Suggestion } from "@optique/core/parser";
import { string, type ValueParser, type ValueParserResult } from "@optique/core/valueparser";
import * as v from "valibot";
import { projectNameProblem } from "@lib/core/ids.ts";
import * as types from "@lib/core/value_types.ts";

/** Names for shell completion; empty if the runner is unreachable. */
export interface Completer {
  jobIds(): Promise<readonly NamedValue[]>;
  projects(): Promise<readonly NamedValue[]>;
}

/** A value and its description. */
export interface NamedValue {
  readonly value: string;
  readonly description: string;
}

/** Makes a flag that is off by default. */
export function toggle(names: readonly [OptionName, ...OptionName[]], description: Message) {
  return withDefault(flag(...names, { description }), false);
}

/** Parses a duration, in milliseconds. */
export function duration(): ValueParser<"sync", number> {
  return typed(types.duration({ min: 0, max: 3_650 * 86_400_000 }), "DURATION", 0);
}

/** Parses a size, in bytes. */
export function size(): ValueParser<"sync", number> {
  return typed(types.size({ min: 0, max: 1024 ** 5 }), "SIZE", 0);
}

/** Parses a whole number. */
export function wholeNumber(
  metavar: NonEmptyString,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): ValueParser<"sync", number> {
  return typed(types.integer({ min, max }), metavar, min);
}

/** Checks a value of any type and returns it as in a job file. */
export function valueParser(
  type: types.ValueType<unknown>,
  metavar: NonEmptyString,
): ValueParser<"sync", unknown> {
  const { words } = type;
  return {
    ...parsed<unknown>(metavar, "", (input) => {
      const written = type.fromText(input);
      const result = v.safeParse(type.schema, written);
      return result.success
        ? { success: true, value: written }
        : wrong(`It ${result.issues[0].message}`);
    }),
    ...(type.path === undefined ? {} : { suggest: anyFile }),
    ...(words === undefined ? {} : {
      *suggest(prefix: string): Iterable<Suggestion> {
        for (const word of words) {
          if (word.startsWith(prefix)) yield { kind: "literal", text: word };
        }
      },
    }),
  };
}

function typed<T>(
  type: types.ValueType<T>,
  metavar: NonEmptyString,
  placeholder: T,
): ValueParser<"sync", T> {
  return parsed(metavar, placeholder, (input) => {
    const result = v.safeParse(type.schema, type.fromText(input));
    return result.success
      ? { success: true, value: result.output }
      : wrong(`It ${result.issues[0].message}`);
  });
}

/** Makes the argument that names a job, completed by asking the runner. */
export function jobArgument({ jobIds }: Completer) {
  return argument(completed("ID", jobIds), {
    description:
      message`The job, by its id or the beginning of it; ${"last"} is the newest, ${"last~1"} the one before`,
  });
}

/** Parses a project's name, completed by asking the runner. */
export function projectName({ projects }: Completer): ValueParser<"async", string> {
  return completed("PROJECT", projects, (input) => {
    const problem = projectNameProblem(input);
    return problem === undefined ? undefined : `${quoted(input)} ${problem}`;
  });
}

/** Parses the name of a project or the id of a job, completed by asking the runner. */
export function terminalTarget(
  { jobIds, projects }: Completer,
): ValueParser<"async", string> {
  return completed("PROJECT|JOB", async () => [...await projects(), ...await jobIds()]);
}

/** Parses a path, completed by the shell. */
export function filePath(metavar: "FILE" | "PATH"): ValueParser<"sync", string> {
  return { ...string({ metavar }), suggest: anyFile };
}

function* anyFile(prefix: string): Iterable<Suggestion> {
  yield { kind: "file", type: "any", pattern: prefix };
}

/** Formats the examples at the end of a command's help. */
export function examples(...lines: readonly string[]): Message {
  return [text("Examples:"), ...lines.flatMap((line) => [lineBreak(), text(`  ${line}`)])];
}

function completed(
  metavar: "ID" | "PROJECT" | "PROJECT|JOB",
  known: () => Promise<readonly NamedValue[]>,
  problemOf: (input: string) => string | undefined = () => undefined,
): ValueParser<"async", string> {
  return {
    mode: "async",
    metavar,
    placeholder: "",
    parse(input) {
      const problem = input === "" ? "It is empty" : problemOf(input);
      return Promise.resolve<ValueParserResult<string>>(
        problem === undefined ? { success: true, value: input } : wrong(problem),
      );
    },
    format: (value) => value,
    async *suggest(prefix): AsyncIterable<Suggestion> {
      for (const { value, description } of await known()) {
        if (!value.startsWith(prefix)) continue;
        yield { kind: "literal", text: value, description: [text(description)] };
      }
    },
  };
}

/** Makes a value parser of a function. */
export function parsed<T>(
  metavar: NonEmptyString,
  placeholder: T,
  parse: (input: string) => ValueParserResult<T>,
): ValueParser<"sync", T> {
  return { mode: "sync", metavar, placeholder, parse, format: String };
}

/** Refuses a value; the flag's name precedes the problem. */
export function wrong(problem: string): ValueParserResult<never> {
  return { success: false, error: [text(/[.?]$/.test(problem) ? problem : `${problem}.`)] };
}

/** Formats a value for a refusal. */
export function quoted(input: string): string {
  return JSON.stringify(input);
}
