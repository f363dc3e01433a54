/**
 * The commands about the machine.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { parseDuration } from "@lib/core/duration.ts";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import { parsed, quoted, toggle, wrong } from "@lib/foundations/cli/grammar_values.ts";

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

const top = defineCommand({
  name: "top",
  brief: message`Watch the machine, its projects and the running jobs`,
  description:
    message`On a terminal it fills the screen until q; elsewhere it prints a frame each time. ${"--json"} prints one line for each frame.`,
  examples: ["cicd-runner top", "cicd-runner top --once --json"],
  flags: () =>
    object({
      once: toggle(["--once"], message`Print one frame and end`),
      intervalMs: withDefault(
        option("--interval", interval(), {
          description: message`Time between two frames, from 200ms to 1h`,
        }),
        2_000,
      ),
    }),
  run: async (flags, context) => {
    const { runTop } = await import("@lib/features/host/top/watch_top.ts");
    return await runTop(flags, context);
  },
});

/** The commands about the machine, in the order of the help. */
export const commands: readonly Command[] = [top, host];

function interval() {
  return parsed<number>("DURATION", 2_000, (input) => {
    const ms = parseDuration(input);
    return ms === undefined || ms < 200 || ms > 3_600_000
      ? wrong(`${quoted(input)} is no duration from 200ms to 1h`)
      : { success: true, value: ms };
  });
}
