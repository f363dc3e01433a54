/**
 * Reads plain command lines without the grammar, whose library takes longer to load than most
 * commands to run.
 *
 * It accepts only what is certain to mean the same to the grammar: for anything else, such as a
 * mistake or `--help`, it returns nothing and the grammar reads the line.
 *
 * @module
 */

/** Flags that a command line may have: names by key. */
export interface QuickFlags<Toggle extends string, Text extends string> {
  /** Flags without a value. */
  readonly toggles: Readonly<Record<Toggle, readonly string[]>>;
  /** Flags with a value, given once at most. */
  readonly texts: Readonly<Record<Text, readonly string[]>>;
  /** Words after `--` are taken as they are; else the grammar reads such a line. */
  readonly takesRest?: boolean;
}

/** A command line that was read. */
export interface QuickArgs<Toggle extends string, Text extends string> {
  readonly toggles: Readonly<Record<Toggle, boolean>>;
  readonly texts: Readonly<Record<Text, string | undefined>>;
  /** Words that are no flags. */
  readonly words: readonly string[];
  /** The words after `--`. */
  readonly rest: readonly string[];
}

/** Reads the words after a command's name; `undefined` if the grammar must. */
export function quickArgs<Toggle extends string, Text extends string>(
  args: readonly string[],
  { toggles, texts, takesRest = false }: QuickFlags<Toggle, Text>,
): QuickArgs<Toggle, Text> | undefined {
  const on = new Set<string>();
  const given = new Map<string, string>();
  const words: string[] = [];
  const end = args.indexOf("--");
  if (end >= 0 && !takesRest) return undefined;
  const before = end < 0 ? args : args.slice(0, end);
  for (let at = 0; at < before.length; at++) {
    const arg = before[at] ?? "";
    if (!arg.startsWith("-")) {
      // The grammar says what is wrong with an empty word.
      if (arg === "") return undefined;
      words.push(arg);
      continue;
    }
    const [, name = arg, inline] = /^(--[^=]+)=(.*)$/s.exec(arg) ?? [];
    const toggle = keyOf(toggles, name);
    const text = keyOf(texts, name);
    if (toggle !== undefined && inline === undefined && !on.has(toggle)) on.add(toggle);
    else if (text !== undefined && !given.has(text)) {
      const value = inline ?? before[++at] ?? "";
      if (value === "" || value.startsWith("-")) return undefined;
      given.set(text, value);
    } else return undefined;
  }
  return {
    toggles: mapped(toggles, (key) => on.has(key)),
    texts: mapped(texts, (key) => given.get(key)),
    words,
    rest: end < 0 ? [] : args.slice(end + 1),
  };
}

function keyOf(
  flags: Readonly<Record<string, readonly string[]>>,
  name: string,
): string | undefined {
  return Object.entries(flags).find(([, names]) => names.includes(name))?.[0];
}

function mapped<Key extends string, T>(
  keys: Readonly<Record<Key, unknown>>,
  value: (key: Key) => T,
): Readonly<Record<Key, T>>;
function mapped(keys: object, value: (key: string) => unknown): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.keys(keys).map((key) => [key, value(key)]));
}
