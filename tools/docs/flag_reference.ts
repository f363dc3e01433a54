/**
 * The tables of job flags in `docs/cli.md`, generated from the table of job fields.
 *
 * @module
 */
import { flaggedFields } from "@lib/features/jobs/commands/grammar_job_flags.ts";

const BEGIN =
  "<!-- The tables down to the end mark are generated from lib/spine/spec/job_fields.ts. -->";
const END = "<!-- End of the tables. -->";

/**
 * Inserts the current tables into the text of the document.
 *
 * @throws {SyntaxError} If the marks are missing.
 */
export function withFlagReference(document: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new SyntaxError("Cannot find the marks around the tables in the document");
  }
  return `${document.slice(0, begin)}${BEGIN}\n\n${tables()}\n\n${document.slice(end)}`;
}

function tables(): string {
  const sections = Map.groupBy(flaggedFields(), ({ section }) => section);
  return [...sections].map(([section, flags]) =>
    [
      `#### ${section}`,
      "",
      "| flag | field | meaning |",
      "| --- | --- | --- |",
      ...flags.map(({ names, metavar, path, field }) =>
        `| ${
          names.map((name) => `\`${`${name} ${metavar}`.trim()}\``).join(", ")
        } | \`${path}\` | ${field.help ?? field.doc} |`
      ),
    ].join("\n")
  ).join("\n\n");
}
