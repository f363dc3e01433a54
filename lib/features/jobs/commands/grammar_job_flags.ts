/**
 * The flags that describe a job, the same for `run` and `submit`.
 *
 * @module
 */
import { merge, object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import type { InferValue } from "@optique/core/parser";
import { choice, float, integer, string } from "@optique/core/valueparser";
import { setupFlags } from "@lib/features/jobs/commands/grammar_setup_flags.ts";
import {
  type Completer,
  duration,
  filePath,
  projectName,
  size,
  toggle,
} from "@lib/foundations/cli/grammar_values.ts";

/** Makes the flags. */
export function jobFlags(completer: Completer) {
  return merge(ownFlags(completer), setupFlags());
}

/** The flags as given. */
export type JobFlags = InferValue<ReturnType<typeof jobFlags>>;

function ownFlags(completer: Completer) {
  return object("Job", {
    argv: multiple(argument(string({ metavar: "COMMAND" }), {
      description: message`Program and arguments, after ${"--"}; run without a shell`,
    })),
    project: optional(option("-p", "--project", projectName(completer), {
      description: message`The project that the job belongs to`,
    })),
    script: optional(option("-s", "--script", filePath("FILE"), {
      description: message`Run the text of a file with a shell; - reads standard input`,
    })),
    file: optional(option("-f", "--file", filePath("FILE"), {
      description: message`Read the job from YAML or JSON; flags go before what it says`,
    })),
    env: multiple(option("-e", "--env", string({ metavar: "NAME=VALUE" }), {
      description: message`Set a variable of the job; NAME alone passes yours on`,
    })),
    secrets: multiple(option("--secret", string({ metavar: "NAME=SOURCE" }), {
      description: message`A masked variable; SOURCE is file:PATH, env:NAME or - (standard input)`,
    })),
    workdir: optional(option("-w", "--workdir", filePath("PATH"), {
      description: message`Absolute, or below the job's own fresh folder, which is the default`,
    })),
    shell: optional(option("--shell", filePath("PATH"), {
      description: message`The shell of a script`,
    })),
    limitCpu: optional(option("--limit-cpu", float({ metavar: "CPUS", min: 0.01 }), {
      description: message`CPUs the job may use at once, such as 0.5`,
    })),
    limitMemory: optional(option("--limit-memory", size(), {
      description: message`Memory the job may use, such as 512M`,
    })),
    limitTasks: optional(option("--limit-tasks", integer({ metavar: "COUNT", min: 1 }), {
      description: message`Processes and threads the job may have`,
    })),
    timeout: optional(option("-t", "--timeout", duration(), {
      description: message`Time limit of an attempt`,
    })),
    grace: optional(option("--grace", duration(), {
      description: message`Time between SIGTERM and SIGKILL`,
    })),
    priority: optional(option("--priority", integer({ metavar: "0-9", min: 0, max: 9 }), {
      description: message`Higher starts earlier, within the project`,
    })),
    group: optional(option("--group", string({ metavar: "NAME" }), {
      description: message`Of the jobs of a group, one runs at a time`,
    })),
    cancelInProgress: toggle(
      ["--cancel-in-progress"],
      message`Cancel the open jobs of the group when this one is accepted`,
    ),
    retries: optional(option("--retries", integer({ metavar: "COUNT", min: 0, max: 10 }), {
      description: message`How many further attempts are made`,
    })),
    retryOn: multiple(
      option("--retry-on", choice(["failed", "oom_killed", "timed_out", "lost"]), {
        description: message`Which ending is tried again; may be repeated`,
      }),
    ),
    retryDelay: optional(option("--retry-delay", duration(), {
      description: message`Wait before the second attempt; doubles with each further one`,
    })),
    output: optional(option("--output", choice(["merged", "split"]), {
      description: message`split keeps stdout and stderr apart`,
    })),
    logMax: optional(option("--log-max", size(), {
      description: message`How much of the log is kept`,
    })),
    labels: multiple(option("-l", "--label", string({ metavar: "NAME=VALUE" }), {
      description: message`For your own use; may be repeated`,
    })),
  });
}
