/**
 * The command about the usage of language models.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import { toggle, wholeNumber } from "@lib/foundations/cli/grammar_values.ts";

const usage = defineCommand({
  name: "usage",
  listedAfter: "host",
  brief: message`Show the tokens and the cost of language models`,
  description:
    message`What the proxy for language models has counted, by model. ${"--json"} prints it by day, and with ${"--prices"} a file for llm_proxy.prices.`,
  examples: ["cicd-runner usage --days 7", "cicd-runner usage --json | jq .total.cost_usd"],
  flags: () =>
    object({
      days: withDefault(
        option("--days", wholeNumber("DAYS", 1, 3_650), {
          description: message`How many days, today included; default: 30`,
        }),
        30,
      ),
      prices: toggle(["--prices"], message`Print the prices that the runner knows without a file`),
    }),
  run: async (flags, context) => {
    const { runUsage } = await import("@lib/features/llm_proxy/show_usage.ts");
    return await runUsage(flags, context);
  },
});

/** The command about the usage of language models. */
export const commands: readonly Command[] = [usage];
