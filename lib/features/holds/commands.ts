/**
 * The command about holds.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { reading } from "@lib/api/client/reading.ts";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import { jobIdOf } from "@lib/api/client/jobs.ts";
import { jobPath } from "@lib/api/client/transport.ts";
import { jobArgument } from "@lib/foundations/cli/grammar_values.ts";
import { releasedSchema } from "@lib/features/holds/answers.ts";

const release = defineCommand({
  name: "release",
  listedAfter: "attach",
  brief: message`End the hold of a failed job`,
  description: message`Removes the workspace of a job that is held after its failure, and ends what
people run in its place. The result of the job stays.`,
  examples: ["cicd-runner release 0192f3a4"],
  flags: (completer) => object({ id: jobArgument(completer) }),
  async run({ id }, { connect, out, flags, signal }) {
    using runner = await connect();
    const path = `${jobPath(await jobIdOf(runner, id, signal))}/release`;
    const readReleased = reading(releasedSchema, "the hold");
    const released = await runner.ask(readReleased, { method: "POST", path, signal });
    if (flags.json) await out.json(released);
    else await out.line(`job ${released.id} is no longer held`);
    return 0;
  },
});

/** The command about holds. */
export const commands: readonly Command[] = [release];
