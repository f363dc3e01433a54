/**
 * `status`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { defineCommand } from "@lib/api/client/command.ts";
import { runStatus } from "@lib/features/status/show_status.ts";
import { toggle } from "@lib/foundations/cli/grammar_values.ts";

/** Shows the runner, its queue and the running jobs. */
export const status = defineCommand({
  name: "status",
  brief: message`Show the runner, its queue and the running jobs`,
  examples: ["cicd-runner status --watch"],
  flags: () => object({ watch: toggle(["-w", "--watch"], message`Update it until Ctrl-C`) }),
  run: runStatus,
});
