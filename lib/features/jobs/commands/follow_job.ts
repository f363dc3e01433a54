/**
 * Following a job on the terminal: its log, Ctrl-C, and how it ended.
 *
 * @module
 */
import { messageOf } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { resultLine } from "@lib/api/client/format.ts";
import type { JobAnswer } from "@lib/api/client/jobs.ts";
import { OutputClosedError } from "@lib/api/client/output.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { EXIT_CANCELLED, jobExitCode } from "@lib/features/jobs/commands/exit_code.ts";
import { followLog } from "@lib/features/jobs/commands/follow_log.ts";
import {
  changeJob,
  type LogPart,
  openLog,
  openLogRest,
  showJob,
  waitForEnd,
  waitOnce,
} from "@lib/features/jobs/client.ts";
import { onInterrupt } from "@lib/foundations/cli/signals.ts";
import { plainCounter, stampedCounter } from "@lib/features/jobs/commands/stamped_counter.ts";

/** A job to follow. */
export interface FollowedJob {
  readonly runner: RunnerTransport;
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
  const { runner, id, part, signal } = followed;
  return await followLog({
    port: {
      follow: (offset) => openLog(runner, { ...part, id, from: offset, follow: true }, signal),
      rest: (offset) => openLogRest(runner, { ...part, id, from: offset }, signal),
      job: () => showJob(runner, id, signal),
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
 * Starts a job, follows it, and returns its exit code.
 *
 * The first interrupt cancels the job, as soon as it is accepted; the second leaves. A closed
 * output is no reason to leave the job alone.
 *
 * @param start Starts the job; tells from which byte on its log is of interest.
 */
export async function runToEnd(
  context: CliContext,
  start: (
    runner: RunnerTransport,
    signal: AbortSignal,
  ) => Promise<{ readonly job: JobAnswer; readonly from: number }>,
): Promise<number> {
  const { out, flags } = context;
  using runner = await context.connect();
  const leave = new AbortController();
  const signal = AbortSignal.any([context.signal, leave.signal]);
  let id: string | undefined;
  let isCancelled = false;
  await using tasks = new TaskGroup({ onFailure: (_name, error) => out.note(String(error)) });
  const cancel = (job: string) =>
    tasks.spawn("cancel", () => cancelOnInterrupt(context, { runner, id: job, signal }));
  using _interrupts = onInterrupt({
    first() {
      isCancelled = true;
      out.note("cancelling the job; press Ctrl-C again to leave");
      if (id !== undefined) cancel(id);
    },
    again: () => leave.abort(new DOMException("The user left", "AbortError")),
  });
  try {
    const { job, from } = await start(runner, signal);
    id = job.id;
    if (isCancelled) cancel(id);
    if (flags.json) await out.json({ event: "job", job });
    return await followToEnd(context, { runner, id, part: { from }, signal });
  } catch (error) {
    if (!leave.signal.aborted) throw error;
    out.note(
      id === undefined
        ? "left before the job was accepted"
        : `left job ${id}; see it with: cicd-runner logs -f ${id}`,
    );
    return EXIT_CANCELLED;
  }
}

async function followToEnd(context: CliContext, followed: FollowedJob): Promise<number> {
  const { runner, id, signal } = followed;
  const { out, clock } = context;
  let job: JobAnswer;
  try {
    job = await writeLog(context, followed);
  } catch (error) {
    if (!(error instanceof OutputClosedError)) throw error;
    out.note("nobody reads the log any more; waiting for the job's end");
    job = await waitForEnd({
      waitOnce: (timeoutMs) => waitOnce(runner, { id, timeoutMs }, signal),
      reconnect: context.reconnect(signal),
      clock,
    });
  }
  await tellEnd(context, job);
  return jobExitCode(job);
}

/** Tells how a job ended, as the last line. */
async function tellEnd({ out, flags }: CliContext, job: JobAnswer): Promise<void> {
  out.note(resultLine(job));
  if (!flags.json) return;
  await out.json({ event: "end", job }).catch((error) => {
    if (!(error instanceof OutputClosedError)) throw error;
  });
}

/** Cancels a job because the user asked for it with Ctrl-C; failures are only told. */
async function cancelOnInterrupt(
  { out, reconnect }: CliContext,
  { runner, id, signal }: Pick<FollowedJob, "runner" | "id" | "signal">,
): Promise<void> {
  try {
    await reconnect(signal).run(() => changeJob(runner, { id, verb: "cancel" }, signal));
  } catch (error) {
    if (!signal.aborted) out.note(messageOf(error));
  }
}
