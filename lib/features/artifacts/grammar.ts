/**
 * The command about artifacts: what may be given to it.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, command, constant, option } from "@optique/core/primitives";
import { integer, string } from "@optique/core/valueparser";
import { type Completer, examples, filePath, jobId } from "@lib/foundations/cli/grammar_values.ts";

/** `artifacts`. */
export function artifactsCommand(completer: Completer) {
  return command(
    "artifacts",
    object({
      command: constant("artifacts"),
      id: argument(jobId(completer), {
        description: message`The job, by its id or the beginning of it`,
      }),
      globs: multiple(argument(string({ metavar: "GLOB" }), {
        description: message`Only these; one that begins with ! takes away`,
      })),
      download: optional(option("-d", "--download", filePath("PATH"), {
        description: message`Write the files into this folder, which is made if need be`,
      })),
      attempt: optional(option("--attempt", integer({ metavar: "NUMBER", min: 1 }), {
        description: message`Those of an earlier attempt`,
      })),
    }),
    {
      brief: message`List or download what was kept of a job`,
      description:
        message`Downloaded files are checked against their SHA-256. Files of the same name
are replaced; links on the way are not followed.`,
      footer: examples(
        "cicd-runner artifacts 0192f3a4",
        "cicd-runner artifacts 0192f3a4 --download out 'dist/**/*.tgz'",
      ),
    },
  );
}
