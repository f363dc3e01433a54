/**
 * The kinds of values that a job request is written with.
 *
 * @module
 */
import * as v from "valibot";
import { parseDuration } from "@lib/core/duration.ts";
import { envNameProblem } from "@lib/core/exec_limits.ts";
import { parseProjectName, projectNameProblem } from "@lib/core/ids.ts";
import { parseSize } from "@lib/core/size.ts";

/** A duration; milliseconds inside. */
export const durationField = v.pipe(
  v.union([v.string(), v.number()], 'must be a duration such as "10m", or a number of seconds'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const ms = parseDuration(dataset.value);
    if (ms !== undefined) return ms;
    addIssue({
      message: typeof dataset.value === "number" || dataset.value.trim().startsWith("-")
        ? `is ${dataset.value}; a duration is not negative`
        : `is "${dataset.value}"; write a duration such as "90s", "10m" or "1h30m"`,
    });
    return NEVER;
  }),
  v.metadata({ example: "10m" }),
);

/** A size; bytes inside. */
export const sizeField = v.pipe(
  v.union([v.string(), v.number()], 'must be a size such as "512M", or a number of bytes'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = parseSize(dataset.value);
    if (bytes !== undefined && bytes > 0) return bytes;
    addIssue({ message: `is "${dataset.value}"; write a size such as "512M" or "2G"` });
    return NEVER;
  }),
  v.metadata({ example: "512M" }),
);

/** The name of a project. */
export const projectField = v.pipe(
  v.string("must be text"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const name = parseProjectName(dataset.value);
    if (name !== undefined) return name;
    addIssue({ message: projectNameProblem(dataset.value) ?? "is no project name" });
    return NEVER;
  }),
  v.metadata({ example: "web" }),
);

/** The name of a variable or a secret. */
export const nameField = v.pipe(
  v.string("must be text"),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const problem = envNameProblem(dataset.value);
    if (problem !== undefined) addIssue({ message: problem });
  }),
);

/** The value of a variable. */
export const scalarField = v.pipe(
  v.union([v.string(), v.number(), v.boolean()], "must be text, a number, true or false"),
  v.transform(String),
);

/** Text on one line. */
export const shortTextField = v.pipe(
  v.string("must be text"),
  v.minLength(1, "is empty"),
  v.maxLength(256, "is longer than 256 characters"),
  v.regex(/^[^\p{Cc}\p{Cs}]*$/u, "contains a control character"),
);

/** A path; what it may be is checked elsewhere. */
export const pathField = v.pipe(
  v.string("must be text"),
  v.minLength(1, "is empty"),
  v.maxLength(4095, "is longer than 4095 characters"),
  v.regex(/^\P{Cs}*$/u, "is no valid text: half of a surrogate pair is missing"),
);

/** True or false. */
export const flagField = v.boolean("must be true or false");

/** A whole number. */
export function countField(min: number, max: number) {
  return v.pipe(
    v.number("must be a number"),
    v.integer("must be whole"),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
  );
}
