/**
 * The commands about jobs, in the order of the help.
 *
 * @module
 */
import type { Command } from "@lib/api/client/command.ts";
import { events } from "@lib/features/jobs/commands/events.ts";
import { jobs } from "@lib/features/jobs/commands/jobs.ts";
import { logs } from "@lib/features/jobs/commands/logs.ts";
import { retry } from "@lib/features/jobs/commands/retry.ts";
import { run, submit } from "@lib/features/jobs/commands/run.ts";
import { show } from "@lib/features/jobs/commands/show.ts";
import { cancel, wait } from "@lib/features/jobs/commands/wait.ts";

/** The commands about jobs. */
export const commands: readonly Command[] = [
  run,
  submit,
  jobs,
  show,
  logs,
  wait,
  events,
  cancel,
  retry,
];
