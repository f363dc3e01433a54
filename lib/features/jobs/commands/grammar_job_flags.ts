/**
 * The flags that describe a job in `run` and `submit`, made from the table of its fields.
 *
 * @module
 */
import { merge, object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import type { InferValue, Mode, Parser } from "@optique/core/parser";
import { isNonEmptyString } from "@optique/core/nonempty";
import type { OptionName } from "@optique/core/usage";
import { string, type ValueParser } from "@optique/core/valueparser";
import { type Field, type Fields, walk } from "@lib/spine/spec/field.ts";
import { JOB } from "@lib/spine/spec/job_fields.ts";
import {
  type Completer,
  filePath,
  projectName,
  toggle,
  valueParser,
} from "@lib/foundations/cli/grammar_values.ts";
import { CONVERTERS } from "@lib/features/jobs/commands/flag_values.ts";

/** A field that has a flag. */
export interface FlaggedField {
  /** The field's public path, such as `limits.memory`. */
  readonly path: string;
  readonly section: string;
  readonly field: Field<unknown>;
  readonly names: readonly OptionName[];
  /** The name of its value; empty for a flag without one. */
  readonly metavar: string;
}

/** Returns the fields of a table that have flags. */
export function flaggedFields(fields: Fields = JOB): readonly FlaggedField[] {
  return [...walk(fields)].flatMap(({ path, section, field }) => {
    const [names = "", metavar = ""] = field.flag?.split(" ") ?? [];
    if (names === "") return [];
    return [{ path, section, field, names: names.split("/").filter(isOptionName), metavar }];
  });
}

/** Makes the flags. */
export function jobFlags(completer: Completer, fields: Fields = JOB) {
  const sections = Map.groupBy(flaggedFields(fields), ({ section }) => section);
  const parsersOf = (section: string) =>
    Object.fromEntries(
      (sections.get(section) ?? []).map((one) => [one.path, parserOf(one, completer)]),
    );
  return object("Job", {
    argv: multiple(argument(string({ metavar: "COMMAND" }), {
      description: message`Program and arguments, after ${"--"}; run without a shell`,
    })),
    file: optional(option("-f", "--file", filePath("FILE"), {
      description: message`Read the job from YAML or JSON; flags take precedence`,
    })),
    workspace: toggle(["--workspace"], message`Start in a fresh, empty workspace, not here`),
    given: merge(
      object("Job", parsersOf("Job")),
      object("Workspace", parsersOf("Workspace")),
      object("Container", parsersOf("Container")),
    ),
  });
}

/** The parsed flags; those of fields by path, as values of a request or as texts. */
export type JobFlags = InferValue<ReturnType<typeof jobFlags>>;

function parserOf(
  { path, field, names, metavar }: FlaggedField,
  completer: Completer,
): Parser<Mode, unknown, unknown> {
  const [first = "--", ...others] = names;
  const { type, help = field.doc } = field;
  const { words = [] } = type.item ?? type;
  const choice = words.every((word) => help.includes(word)) ? "" : `: ${words.join(", ")}`;
  const options = { description: [text(`${help.replaceAll("`", "")}${choice}`)] };
  if (!isNonEmptyString(metavar)) return optional(flag(first, ...others, options));
  const isMany = type.item !== undefined || type.textsBelow;
  const value: ValueParser<Mode, unknown> = path === "project"
    ? projectName(completer)
    : path in CONVERTERS
    ? (metavar === "FILE" ? filePath("FILE") : string({ metavar }))
    : valueParser(type.item ?? type, metavar);
  const parser = option(first, ...others, value, options);
  return isMany ? multiple(parser) : optional(parser);
}

function isOptionName(name: string): name is OptionName {
  return name.startsWith("-");
}
