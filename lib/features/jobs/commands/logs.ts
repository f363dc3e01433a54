/**
 * `logs`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, integer } from "@optique/core/valueparser";
import { CicdError } from "@lib/core/errors.ts";
import { defineCommand } from "@lib/api/client/command.ts";
import { type LogPart, logSize, openLog } from "@lib/features/jobs/client.ts";
import { logWriter, writeLog } from "@lib/features/jobs/commands/follow_job.ts";
import { jobArgument, size, toggle } from "@lib/foundations/cli/grammar_values.ts";

/** Prints a job's log, or follows it to the job's end. */
export const logs = defineCommand({
  name: "logs",
  brief: message`Print a job's log`,
  description: message`Following goes on across restarts of the runner; no byte is lost or
comes twice. Exits with 0 whatever became of the job.`,
  examples: [
    "cicd-runner logs -f 0192f3a4",
    "cicd-runner logs --tail 10K --timestamps 0192f3a4",
  ],
  flags: (completer) =>
    object({
      id: jobArgument(completer),
      follow: toggle(["-f", "--follow"], message`Go on until the job has ended`),
      timestamps: toggle(["-t", "--timestamps"], message`Put the time before each line`),
      stream: optional(option("--stream", choice(["stdout", "stderr"]), {
        description: message`One stream only, of a job with split output`,
      })),
      tail: optional(option("--tail", size(), {
        description: message`Only the last bytes, such as 10K`,
      })),
      from: optional(option("--from", integer({ metavar: "OFFSET", min: 0 }), {
        description: message`Begin at this byte of the log`,
      })),
    }),
  async run({ id, stream, timestamps, tail, from, follow }, context) {
    if (tail !== undefined && from !== undefined) {
      const problem = "Cannot read the log: --tail and --from both say where to begin";
      throw new CicdError("usage", problem);
    }
    const { signal } = context;
    using runner = await context.connect();
    const part: LogPart = {
      from: tail === undefined
        ? from ?? 0
        : Math.max(0, await logSize(runner, { id, stream }, signal) - tail),
      timestamps,
      ...(stream === undefined ? {} : { stream }),
    };
    if (follow) await writeLog(context, { runner, id, part, signal });
    else {
      const write = logWriter(context, part.from);
      using response = await openLog(runner, { ...part, id }, signal);
      for await (const chunk of response.body) await write(chunk);
    }
    return 0;
  },
});
