/**
 * The command `show`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { defineCommand } from "@lib/api/client/command.ts";
import { runShow } from "@lib/features/jobs/commands/show_job.ts";
import { jobArgument } from "@lib/foundations/cli/grammar_values.ts";

/** Shows a job. */
export const show = defineCommand({
  name: "show",
  brief: message`Show a job: state, reason, attempts, usage, limits`,
  examples: ["cicd-runner show 0192f3a4"],
  flags: (completer) => object({ id: jobArgument(completer) }),
  run: runShow,
});
