/**
 * The commands about the machine.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import { toggle } from "@lib/foundations/cli/grammar_values.ts";

const host = defineCommand({
  name: "host",
  brief: message`Show the machine: what it is, and how busy`,
  examples: ["cicd-runner host", "cicd-runner host --json | jq .disks"],
  flags: () =>
    object({
      local: toggle(["--local"], message`Only what this machine is, without asking the runner`),
    }),
  run: async ({ local }, context) => {
    const { runHost } = await import("@lib/features/host/show_host.ts");
    return await runHost({ local }, context);
  },
});

/** The commands about the machine, in the order of the help. */
export const commands: readonly Command[] = [host];
