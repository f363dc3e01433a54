/**
 * `events`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { integer } from "@optique/core/valueparser";
import { defineCommand } from "@lib/api/client/command.ts";
import { printChanges } from "@lib/api/client/watch.ts";
import { projectName } from "@lib/foundations/cli/grammar_values.ts";

/** Prints the changes of jobs as they come. */
export const events = defineCommand({
  name: "events",
  brief: message`Print the changes of jobs as they come`,
  examples: ["cicd-runner events --json | jq -r '.id + \" \" + .state'"],
  flags: (completer) =>
    object({
      since: optional(option("--since", integer({ metavar: "REVISION", min: 0 }), {
        description: message`Begin after this change; 0 for all there are`,
      })),
      project: optional(option("-p", "--project", projectName(completer), {
        description: message`Only those of a project`,
      })),
    }),
  async run({ since, project }, context) {
    using runner = await context.connect();
    return await printChanges(context, runner, {
      since,
      isWanted: (job) => project === undefined || job.project === project,
    });
  },
});
