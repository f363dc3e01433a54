/**
 * Readers of lists and maps, in a time that a request cannot stretch.
 *
 * @module
 */
import * as v from "valibot";

/** The parts of an item's type that {@linkcode listReader} needs. */
interface ListItem<T> {
  readonly schema: v.GenericSchema<unknown, T>;
  readonly isVerbatim?: (input: unknown) => boolean;
}

/** Problems of a list that are reported at once. */
const MAX_LIST_PROBLEMS = 64;

/** Reads a list; `problemOf` is asked before any item is read. */
export function listReader<T>(
  item: ListItem<T>,
  problemOf: (given: unknown) => string | undefined,
) {
  return v.rawTransform<unknown, readonly T[]>(({ dataset, addIssue, NEVER }) => {
    const given: unknown = dataset.value;
    const problem = problemOf(given);
    if (problem !== undefined) addIssue({ message: problem });
    if (problem !== undefined || !Array.isArray(given)) return NEVER;
    if (item.isVerbatim !== undefined && given.every(item.isVerbatim)) {
      return given as readonly T[];
    }
    const read: T[] = [];
    let problems = 0;
    for (const [index, raw] of given.entries()) {
      const result = v.safeParse(item.schema, raw);
      if (result.success) read.push(result.output);
      else {
        for (const { message, path = [] } of result.issues) {
          addIssue({ message, path: [issueStep(given, index), ...path] });
        }
        if (++problems === MAX_LIST_PROBLEMS) break;
      }
    }
    return read;
  });
}

/** Reads values by name. */
export function mapReader<T>(
  schema: v.GenericSchema<unknown, T>,
  nameProblem: (name: string) => string | undefined,
  max: number,
) {
  return v.rawTransform<unknown, Readonly<Record<string, T>>>(({ dataset, addIssue, NEVER }) => {
    const given = dataset.value;
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      addIssue({ message: "must be an object" });
      return NEVER;
    }
    const entries: readonly [string, unknown][] = Object.entries(given);
    if (entries.length > max) {
      addIssue({ message: `has more than ${max} entries` });
      return NEVER;
    }
    const read: [string, T][] = [];
    for (const [name, raw] of entries) {
      const step = issueStep(given, name);
      const problem = nameProblem(name);
      if (problem !== undefined) addIssue({ message: problem, path: [step] });
      const result = v.safeParse(schema, raw);
      if (result.success) read.push([name, result.output]);
      else {
        for (const { message, path = [] } of result.issues) {
          addIssue({ message, path: [step, ...path] });
        }
      }
    }
    return Object.fromEntries(read);
  });
}

/** Returns the part of an issue's path that leads to an item or a value. */
export function issueStep(input: unknown, key: string | number): v.UnknownPathItem {
  return { type: "unknown", origin: "value", input, key, value: undefined };
}
