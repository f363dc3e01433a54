/**
 * Following a job on the terminal: its log, Ctrl-C, and how it ended.
 *
 * @module
 */
import { messageOf } from "@lib/core/errors.ts";
import type { JobAnswer } from "@lib/api/client/answers.ts";
import { jobExitCode } from "@lib/features/jobs/client/exit_code.ts";
import { followLog } from "@lib/features/jobs/client/follow_log.ts";
import type { LogPart, RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import { plainCounter, stampedCounter } from "@lib/features/jobs/client/stamped_counter.ts";
import { waitForEnd } from "@lib/features/jobs/client/wait_for_end.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { resultLine } from "@lib/api/client/format.ts";
import { OutputClosedError } from "@lib/foundations/cli/output.ts";

/** A job to follow. */
export interface FollowedJob {
  readonly client: RunnerClient;
  readonly id: string;
  readonly part: LogPart;
  readonly signal: AbortSignal;
}

/**
 * Writes a job's log to standard output until the job has ended.
 *
 * @returns The ended job.
 * @throws {OutputClosedError} If nobody reads the output any more.
 */
export async function writeLog(context: CliContext, followed: FollowedJob): Promise<JobAnswer> {
  const { client, id, part, signal } = followed;
  const at = (offset: number): LogPart => ({ ...part, from: offset });
  return await followLog({
    port: {
      follow: (offset) => client.followLog(id, at(offset), signal),
      rest: (offset) => client.openLogRest(id, at(offset), signal),
      job: () => client.job(id, signal),
    },
    from: part.from,
    reconnect: context.reconnect(signal),
    write: logWriter(context, part.from),
    counter: part.timestamps === true ? stampedCounter() : plainCounter(),
  });
}

/** Writes pieces of a log: as they are, or as lines of JSON. */
export function logWriter(
  { flags, out }: CliContext,
  from: number,
): (bytes: Uint8Array) => Promise<void> {
  if (!flags.json) return (bytes) => out.write(bytes);
  const decoder = new TextDecoder();
  let offset = from;
  return async (bytes) => {
    const text = decoder.decode(bytes, { stream: true });
    await out.json({ event: "log", offset, text });
    offset += bytes.length;
  };
}

/**
 * Follows a job as `run` does: the first interrupt cancels the job, the second
 * leaves; a closed output is no reason to leave the job alone.
 *
 * @returns The exit code.
 */
export async function followToEnd(context: CliContext, followed: FollowedJob): Promise<number> {
  const { client, id, signal } = followed;
  const { out, clock } = context;
  let job: JobAnswer;
  try {
    job = await writeLog(context, followed);
  } catch (error) {
    if (!(error instanceof OutputClosedError)) throw error;
    out.note("nobody reads the log any more; waiting for the job's end");
    job = await waitForEnd({
      waitOnce: (timeoutMs) => client.waitOnce(id, timeoutMs, signal),
      reconnect: context.reconnect(signal),
      clock,
    });
  }
  await tellEnd(context, job);
  return jobExitCode(job);
}

/** Tells how a job ended, as the last line. */
export async function tellEnd({ out, flags }: CliContext, job: JobAnswer): Promise<void> {
  out.note(resultLine(job));
  if (!flags.json) return;
  await out.json({ event: "end", job }).catch((error) => {
    if (!(error instanceof OutputClosedError)) throw error;
  });
}

/** Cancels a job because the user asked for it with Ctrl-C; failures are only told. */
export async function cancelOnInterrupt(
  { out, reconnect }: CliContext,
  { client, id, signal }: Pick<FollowedJob, "client" | "id" | "signal">,
): Promise<void> {
  try {
    await reconnect(signal).run(() => client.cancel(id, signal));
  } catch (error) {
    if (!signal.aborted) out.note(messageOf(error));
  }
}
