/**
 * `logs`.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { LogPart, RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { logWriter, writeLog } from "@lib/features/jobs/commands/follow_job.ts";
import type { InvocationOf } from "../../../../cmd/runner/commands/grammar.ts";

/** Prints a job's log, or follows it to the job's end. */
export async function logs(invocation: InvocationOf<"logs">, context: CliContext): Promise<number> {
  const { id, stream, timestamps, tail, from, follow } = invocation;
  if (tail !== undefined && from !== undefined) {
    throw new CicdError("usage", "Cannot read the log: --tail and --from both say where to begin");
  }
  const { signal } = context;
  using client = await context.connect();
  const part: LogPart = {
    from: tail === undefined
      ? from ?? 0
      : Math.max(0, await client.logSize(id, stream, signal) - tail),
    timestamps,
    ...(stream === undefined ? {} : { stream }),
  };
  if (follow) await writeLog(context, { client, id, part, signal });
  else await printLog(context, client, { id, part });
  return 0;
}

async function printLog(
  context: CliContext,
  client: RunnerClient,
  { id, part }: { readonly id: string; readonly part: LogPart },
): Promise<void> {
  const write = logWriter(context, part.from);
  using response = await client.openLog(id, part, context.signal);
  for await (const chunk of response.body) await write(chunk);
}
