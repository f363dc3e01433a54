/**
 * The command `jobs`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Message, message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import type { Suggestion } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import type { ValueParser } from "@optique/core/valueparser";
import { didYouMean } from "@lib/core/nearest.ts";
import { JOB_STATES } from "@lib/spine/jobs/model.ts";
import { defineCommand } from "@lib/api/client/command.ts";
import { runJobs } from "@lib/features/jobs/commands/list_jobs.ts";
import {
  parsed,
  projectName,
  quoted,
  toggle,
  wholeNumber,
  wrong,
} from "@lib/foundations/cli/grammar_values.ts";

/** Lists jobs, newest first. */
export const jobs = defineCommand({
  name: "jobs",
  brief: message`List jobs, newest first`,
  examples: [
    "cicd-runner jobs -p web --state failed,timed_out",
    "cicd-runner jobs --all --json | jq -r .id",
    "cicd-runner jobs --label commit=4f2a81c",
  ],
  flags: (completer) =>
    object({
      project: optional(option("-p", "--project", projectName(completer), {
        description: message`Only those of this project`,
      })),
      states: optional(option("-s", "--state", stateList(), {
        description: message`Only those in these states, such as queued,running`,
      })),
      labels: labelFlags(message`Only those with this label; repeat it for several`),
      limit: withDefault(
        option("-n", "--limit", wholeNumber("COUNT", 1, 1_000_000), {
          description: message`Maximum number of jobs`,
        }),
        50,
      ),
      all: toggle(["-a", "--all"], message`List all jobs`),
      watch: toggle(["-w", "--watch"], message`Update the list until Ctrl-C`),
    }),
  run: runJobs,
});

/** Makes the flags that select jobs by label. */
export function labelFlags(description: Message) {
  return multiple(option("-l", "--label", labelPair(), { description }));
}

function labelPair(): ValueParser<"sync", string> {
  return parsed<string>("NAME=VALUE", "", (input) => {
    if (input.indexOf("=") > 0) return { success: true, value: input };
    return wrong(`${quoted(input)} is no label; write NAME=VALUE`);
  });
}

/** Parses a comma-separated list of job states. */
function stateList(): ValueParser<"sync", readonly string[]> {
  return {
    ...parsed<readonly string[]>("STATES", [], (input) => {
      const states = input.split(",").map((state) => state.trim());
      const unknown = states.find((state) => !JOB_STATES.some((known) => known === state));
      if (unknown === undefined) return { success: true, value: states };
      const hint = didYouMean(unknown, JOB_STATES);
      return wrong(`${quoted(unknown)} is none of ${JOB_STATES.join(", ")}${hint}`);
    }),
    *suggest(prefix): Iterable<Suggestion> {
      const listed = prefix.slice(0, prefix.lastIndexOf(",") + 1);
      for (const state of JOB_STATES) {
        if (`${listed}${state}`.startsWith(prefix)) yield { kind: "literal", text: listed + state };
      }
    },
  };
}
