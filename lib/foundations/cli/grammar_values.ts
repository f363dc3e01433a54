/**
 * Pieces that the grammars of the commands are made of.
 *
 * @module
 */
import { lineBreak, type Message, text } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { flag } from "@optique/core/primitives";
import type { OptionName } from "@optique/core/usage";
import type { Suggestion } from "@optique/core/parser";
import { string, type ValueParser, type ValueParserResult } from "@optique/core/valueparser";
import { parseDuration } from "@lib/core/duration.ts";
import { projectNameProblem } from "@lib/core/ids.ts";
import { parseSize } from "@lib/core/size.ts";
import { JOB_STATES } from "@lib/spine/jobs/model.ts";
import { didYouMean } from "@lib/core/nearest.ts";

/** Names that the runner knows, for the completion of the shell; empty if it is away. */
export interface Completer {
  jobIds(): Promise<readonly NamedValue[]>;
  projects(): Promise<readonly NamedValue[]>;
}

/** A value and what it stands for. */
export interface NamedValue {
  readonly value: string;
  readonly description: string;
}

/** A flag that is off unless it is given. */
export function toggle(names: readonly [OptionName, ...OptionName[]], description: Message) {
  return withDefault(flag(...names, { description }), false);
}

/** A duration; in milliseconds. */
export function duration(): ValueParser<"sync", number> {
  return parsed<number>("DURATION", 0, (input) => {
    const ms = parseDuration(input);
    return ms === undefined
      ? wrong(`${quoted(input)} is no duration; write one such as 90s, 10m or 1h30m`)
      : { success: true, value: ms };
  });
}

/** A size; in bytes. */
export function size(): ValueParser<"sync", number> {
  return parsed<number>("SIZE", 0, (input) => {
    const bytes = parseSize(input);
    return bytes === undefined
      ? wrong(`${quoted(input)} is no size; write one such as 512M or 2G`)
      : { success: true, value: bytes };
  });
}

/** States of jobs, as a list with commas. */
export function stateList(): ValueParser<"sync", readonly string[]> {
  return {
    ...parsed<readonly string[]>("STATES", [], (input) => {
      const states = input.split(",").map((state) => state.trim());
      const unknown = states.find((state) => !JOB_STATES.some((known) => known === state));
      if (unknown === undefined) return { success: true, value: states };
      const hint = didYouMean(unknown, JOB_STATES);
      return wrong(`${quoted(unknown)} is none of ${JOB_STATES.join(", ")}${hint}`);
    }),
    *suggest(prefix): Iterable<Suggestion> {
      const listed = prefix.slice(0, prefix.lastIndexOf(",") + 1);
      for (const state of JOB_STATES) {
        if (`${listed}${state}`.startsWith(prefix)) yield { kind: "literal", text: listed + state };
      }
    },
  };
}

/** A job's id or its beginning, completed by asking the runner. */
export function jobId({ jobIds }: Completer): ValueParser<"async", string> {
  return completed("ID", jobIds);
}

/** A project's name, completed by asking the runner. */
export function projectName({ projects }: Completer): ValueParser<"async", string> {
  return completed("PROJECT", projects, (input) => {
    const problem = projectNameProblem(input);
    return problem === undefined ? undefined : `${quoted(input)} ${problem}`;
  });
}

/** A path, completed by the shell. */
export function filePath(metavar: "FILE" | "PATH"): ValueParser<"sync", string> {
  return {
    ...string({ metavar }),
    *suggest(prefix): Iterable<Suggestion> {
      yield { kind: "file", type: "any", pattern: prefix };
    },
  };
}

/** The examples at the end of a command's help. */
export function examples(...lines: readonly string[]): Message {
  return [
    text("Examples:"),
    ...lines.flatMap((line) => [lineBreak(), text(`  ${line}`)]),
  ];
}

function completed(
  metavar: "ID" | "PROJECT",
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

function parsed<T>(
  metavar: "DURATION" | "SIZE" | "STATES",
  placeholder: T,
  parse: (input: string) => ValueParserResult<T>,
): ValueParser<"sync", T> {
  return { mode: "sync", metavar, placeholder, parse, format: String };
}

function wrong(problem: string): ValueParserResult<never> {
  return { success: false, error: [text(/[.?]$/.test(problem) ? problem : `${problem}.`)] };
}

function quoted(input: string): string {
  return JSON.stringify(input);
}
