/**
 * The flags of our tasks, read strictly by `@std/cli`: a mistyped flag fails, and so does one whose
 * value is missing.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

/** The names of the flags, without dashes. */
export interface FlagNames<Switch extends string, Value extends string, List extends string> {
  /** Take no value. `help` is always one. */
  readonly switches?: readonly Switch[];
  /** Take one value. */
  readonly values?: readonly Value[];
  /** May be repeated, with a value each time. */
  readonly lists?: readonly List[];
  /** Accepts words that are no flags. @default {false} */
  readonly words?: boolean;
}

/** The flags of a command line. */
export interface Flags<Switch extends string, Value extends string, List extends string> {
  has(name: Switch | "help"): boolean;
  /** The last value given. */
  value(name: Value): string | undefined;
  list(name: List): readonly string[];
  /** The words that are no flags. */
  readonly words: readonly string[];
}

/**
 * Reads the flags of a task. A `--` before them, as `deno task` passes on, is ignored.
 *
 * @throws {TypeError} If a flag is unknown, lacks its value, or has one that it does not take.
 */
export function readFlags<
  Switch extends string = never,
  Value extends string = never,
  List extends string = never,
>(
  args: readonly string[],
  names: FlagNames<Switch, Value, List>,
): Flags<Switch, Value, List> {
  const { values = [], lists = [], words = false } = names;
  const switches = [...names.switches ?? [], "help"];
  const given = args[0] === "--" ? args.slice(1) : [...args];
  for (const arg of given) {
    const name = /^--([^=]+)=/.exec(arg)?.[1];
    if (name !== undefined && switches.includes(name)) {
      throw new TypeError(`--${name} takes no value`);
    }
  }
  // The copy of `@std/cli` on npm has no types.
  const parsed: Readonly<Record<string, unknown>> = parseArgs(given, {
    boolean: switches,
    // Words too: a word that looks like a number stays as it was written.
    string: [...values, ...lists, "_"],
    collect: [...lists],
    unknown(arg: string) {
      if (words && !arg.startsWith("-")) return true;
      throw new TypeError(`unknown ${arg.startsWith("-") ? "flag" : "word"} "${arg}"`);
    },
  });
  const has = (name: string) => parsed[name] === true;
  const list = (name: string) => textsOf(name, parsed[name]);
  for (const name of [...values, ...lists]) list(name);
  return { has, list, value: (name) => list(name).at(-1), words: textsOf("", parsed["_"]) };
}

function textsOf(name: string, value: unknown): readonly string[] {
  const texts = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return texts.map((text: unknown) => {
    if (typeof text === "string" && text !== "") return text;
    throw new TypeError(name === "" ? "a word is empty" : `--${name} needs a value`);
  });
}
