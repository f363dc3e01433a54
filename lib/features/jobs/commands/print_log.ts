/**
 * Prints a log.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { jobIdOf } from "@lib/api/client/jobs.ts";
import { type LogPart, logSize, openLog, showJob } from "@lib/features/jobs/client.ts";
import { logWriter, sayCuts, writeLog } from "@lib/features/jobs/commands/follow_job.ts";
import { plainCounter, stampedCounter } from "@lib/features/jobs/commands/follow_log.ts";

/** The flags of `logs`. */
export interface LogFlags {
  readonly id: string;
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly stream: "stdout" | "stderr" | undefined;
  readonly tail: number | undefined;
  readonly from: number | undefined;
}

/** Runs `logs`. */
export async function runLogs(
  { id: text, stream, timestamps, tail, from, follow }: LogFlags,
  context: CliContext,
): Promise<number> {
  if (tail !== undefined && from !== undefined) {
    const problem = "Cannot read the log: --tail and --from exclude each other";
    throw new CicdError("usage", problem);
  }
  const { flags, signal } = context;
  using runner = await context.connect();
  const id = await jobIdOf(runner, text, signal);
  const part: LogPart = {
    from: tail === undefined
      ? from ?? 0
      : Math.max(0, await logSize(runner, { id, stream }, signal) - tail),
    timestamps,
    ...(stream === undefined ? {} : { stream }),
  };
  if (follow) await writeLog(context, { runner, id, part, signal });
  else {
    const writer = logWriter(context);
    const counter = timestamps === true ? stampedCounter() : plainCounter();
    using response = await openLog(runner, { ...part, id, hasNotes: !flags.json }, signal);
    let offset = part.from;
    for await (const chunk of response.body) {
      const { bytes, consumed } = counter.take(chunk);
      if (bytes.length > 0) await writer.write(bytes, offset);
      offset += consumed;
    }
    const { bytes } = counter.flush();
    if (bytes.length > 0) await writer.write(bytes, offset);
    await writer.end();
    if (flags.json) await sayCuts(context, await showJob(runner, id, signal));
  }
  return 0;
}
