/**
 * Following a job on the terminal: its log, Ctrl-C, how it ended, and the exit code that says so.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { type CliContext, OutputClosedError } from "@lib/api/client/context.ts";
import { oneLine, resultLine } from "@lib/api/client/format.ts";
import type { JobAnswer } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { followLog, plainCounter, stampedCounter } from "@lib/features/jobs/commands/follow_log.ts";
import {
  changeJob,
  type Holding,
  type LogPart,
  openLog,
  openLogRest,
  showJob,
  waitForEnd,
} from "@lib/features/jobs/client.ts";
import { joined, unfinishedBytes } from "@lib/features/jobs/log_streams.ts";
import { onInterrupt, parentEnded, waitingParent } from "@lib/foundations/cli/signals.ts";

/** Called with a followed job when it has ended. */
export type OnEnd = (job: JobAnswer) => Promise<void>;

/** A job to follow. */
export interface FollowedJob extends Holding {
  readonly runner: RunnerTransport;
  readonly id: string;
  readonly part: LogPart;
  /** Called with each part of the log. */
  readonly onOutput?: () => void;
  readonly signal: AbortSignal;
}

/**
 * Writes a job's log to standard output until the job has ended.
 *
 * @returns The ended job.
 * @throws {OutputClosedError} If the reader of the output has closed it.
 */
export async function writeLog(context: CliContext, followed: FollowedJob): Promise<JobAnswer> {
  const { runner, id, part, onOutput = () => {}, signal, isHeld } = followed;
  const writer = logWriter(context);
  const job = await followLog({
    port: {
      follow: (offset) =>
        openLog(runner, { ...part, id, from: offset, follow: true, isHeld }, signal),
      rest: (offset) => openLogRest(runner, { ...part, id, from: offset }, signal),
      job: () => showJob(runner, id, signal),
    },
    from: part.from,
    reconnect: context.reconnect(signal),
    write(bytes, offset) {
      onOutput();
      return writer.write(bytes, offset);
    },
    counter: part.timestamps === true ? stampedCounter() : plainCounter(),
  });
  await writer.end();
  await sayCuts(context, job);
  return job;
}

/** Says which attempts wrote more than was kept: on standard error, or as lines of JSON. */
export async function sayCuts(
  { flags, out }: Pick<CliContext, "flags" | "out">,
  { attempts = [] }: Pick<JobAnswer, "attempts">,
): Promise<void> {
  for (const { number, log_dropped_bytes: dropped = null } of attempts) {
    if (dropped === null) continue;
    if (flags.json) await out.json({ event: "log_cut", attempt: number, dropped_bytes: dropped });
    else out.note(`the log of attempt ${number} was cut: ${droppedText(dropped)} dropped`);
  }
}

/** Renders how much output was dropped. */
export function droppedText(bytes: number): string {
  return bytes === 0 ? "further bytes" : `at least ${bytes} bytes`;
}

/** Writes chunks of a log. */
export interface LogWriter {
  /** Writes a chunk that begins at an offset of the log. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Writes what was held back. */
  end(): Promise<void>;
}

/**
 * Returns a writer of chunks as they are, or as lines of JSON. The offset of a line is that of its
 * text's first byte: a character that is split between two chunks belongs to the later line.
 */
export function logWriter({ flags, out }: {
  readonly flags: Pick<CliContext["flags"], "json">;
  readonly out: Pick<CliContext["out"], "json" | "write">;
}): LogWriter {
  if (!flags.json) return { write: (bytes) => out.write(bytes), end: () => Promise.resolve() };
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let rest = new Uint8Array();
  let at = 0;
  const line = (bytes: Uint8Array, offset: number) =>
    out.json({ event: "log", offset, text: decoder.decode(bytes) });
  return {
    async write(chunk, offset) {
      const bytes = rest.length === 0 ? chunk : joined(rest, chunk);
      const whole = bytes.length - unfinishedBytes(bytes);
      at = offset - rest.length;
      rest = bytes.slice(whole);
      if (whole > 0) await line(bytes.subarray(0, whole), at);
      at += whole;
    },
    async end() {
      if (rest.length > 0) await line(rest, at);
      rest = new Uint8Array();
    },
  };
}

/**
 * Starts a job, follows it, and returns its exit code.
 *
 * The first interrupt cancels the job, as soon as it is accepted; the second leaves. A closed
 * output does not abandon the job. If the shell that waits for this process ends, as a CI system may
 * end only that, the job is cancelled. If this process is killed, the runner cancels the job.
 *
 * @param start Starts the job, as its holder; returns it and the offset in its log from which to print.
 * @param onEnd Called once the log is written.
 */
export async function runToEnd(
  context: CliContext,
  start: (
    runner: RunnerTransport,
    signal: AbortSignal,
  ) => Promise<{ readonly job: JobAnswer; readonly from: number }>,
  onEnd?: OnEnd,
): Promise<number> {
  const { out, flags, clock } = context;
  using runner = await context.connect();
  const leave = new AbortController();
  const signal = AbortSignal.any([context.signal, leave.signal]);
  let id: string | undefined;
  let isCancelled = false;
  await using tasks = new TaskGroup({ onFailure: (_name, error) => out.note(String(error)) });
  const cancel = (job: string) =>
    tasks.spawn("cancel", () => cancelOnInterrupt(context, { runner, id: job, signal }));
  const cancelBecause = (note: string) => {
    isCancelled = true;
    out.note(note);
    if (id !== undefined) cancel(id);
  };
  const parent = waitingParent();
  if (parent !== undefined) {
    tasks.spawn("parent", async (own) => {
      await parentEnded(parent, { clock, signal: own });
      cancelBecause("the program that waited for this one has ended; cancelling the job");
    });
  }
  using _interrupts = onInterrupt({
    first: () => cancelBecause("cancelling the job; press Ctrl-C again to leave"),
    again: () => leave.abort(new DOMException("The user left", "AbortError")),
  });
  try {
    const { job, from } = await start(runner, signal);
    id = job.id;
    if (isCancelled) cancel(id);
    let outputAt = 0;
    const onOutput = () => void (outputAt = clock.now());
    tasks.spawn(
      "progress",
      (own) => sayReasons(context, { runner, id: job.id, outputAt: () => outputAt, signal: own }),
    );
    if (flags.json) await out.json({ event: "job", job });
    const followed = { runner, id, part: { from }, onOutput, signal, isHeld: true };
    return await followToEnd(context, followed, onEnd);
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

async function followToEnd(
  context: CliContext,
  followed: FollowedJob,
  onEnd?: OnEnd,
): Promise<number> {
  const { out, flags } = context;
  let job: JobAnswer;
  try {
    job = await writeLog(context, followed);
  } catch (error) {
    if (!(error instanceof OutputClosedError)) throw error;
    out.note("the log's reader has closed it; waiting for the job to end");
    job = await waitForEnd(context, followed.runner, followed);
  }
  out.note(resultLine(job));
  await onEnd?.(job);
  if (flags.json) {
    await out.json({ event: "end", job }).catch((error) => {
      if (!(error instanceof OutputClosedError)) throw error;
    });
  }
  return await jobExitCode(job);
}

/** Shortest and longest time between two looks at the reason why a job waits. */
const LOOK = { firstMs: 1_000, maxMs: 10_000 } as const;

/** Time between two turns of the spinner, in milliseconds. */
const TURN_MS = 120;

/** Shows the job's id, its place in the queue and what it waits for, until it does not wait. */
async function sayReasons(
  { out, clock }: CliContext,
  { runner, id, outputAt, signal }: Pick<FollowedJob, "runner" | "id" | "signal"> & {
    /** Returns the time of the last output. */
    readonly outputAt: () => number;
  },
): Promise<never> {
  const pace = new Backoff(LOOK);
  let said: string | undefined;
  await clock.sleep(pace.next(), { signal });
  while (true) {
    const lookedAt = clock.now();
    try {
      const job = await showJob(runner, id, signal);
      // The answer may be older than the output.
      const text = outputAt() >= lookedAt ? undefined : waitingLine(job);
      if (text !== said) pace.reset();
      if (text === undefined && said !== undefined) out.progress(undefined);
      said = text;
    } catch (error) {
      // The log's connection says so.
      if (signal.aborted || !(error instanceof CicdError)) throw error;
    }
    let next = clock.now() + pace.next();
    do {
      // What the job waited for may be over: the line does not come back before another look.
      if (out.isLively && said !== undefined && outputAt() >= lookedAt) {
        said = undefined;
        pace.reset();
        next = Math.min(next, clock.now() + pace.next());
      }
      if (said !== undefined) out.progress(said);
      const isTurning = said !== undefined && out.isLively;
      await clock.sleep(isTurning ? TURN_MS : next - clock.now(), { signal });
    } while (clock.now() < next);
  }
}

/** Returns the line about a job that waits. */
function waitingLine(
  { id, state, queue_position: ahead = 0, waiting = null }: JobAnswer,
): string | undefined {
  if (waiting === null && state !== "queued") return undefined;
  const place = ahead > 0 ? ` (${ahead} ahead of it)` : "";
  return `job ${id} ${state}${place}${waiting === null ? "" : `: ${oneLine(waiting)}`}`;
}

/** Cancels a job because of Ctrl-C; a failure is only reported. */
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

/** The job timed out; as timeout(1) has it. */
const EXIT_TIMED_OUT = 124;
/** The job's end is not known, or it never began: start, checkout or image failed. */
const EXIT_LOST = 125;
/** The job was cancelled; as a shell has it for Ctrl-C. */
const EXIT_CANCELLED = 130;

/** Reasons of jobs of which nothing ran. */
const NEVER_BEGUN: readonly string[] = ["start_failed", "checkout_failed", "image_unavailable"];

/** Returns the exit code that stands for an ended job. */
export async function jobExitCode(
  { state, reason, exit_code, signal }: Pick<
    JobAnswer,
    "state" | "reason" | "exit_code" | "signal"
  >,
): Promise<number> {
  if (state === "succeeded") return 0;
  if (state === "timed_out") return EXIT_TIMED_OUT;
  if (state === "cancelled") return EXIT_CANCELLED;
  if (state !== "failed" || NEVER_BEGUN.includes(reason ?? "")) return EXIT_LOST;
  // 0 would report success, for example where the kernel killed only a part of the job.
  if (exit_code !== null && exit_code > 0 && exit_code < 256) return exit_code;
  // Loaded only here: it takes a third of a start.
  const { constants } = await import("node:os");
  const number = Object.entries(constants.signals).find(([name]) => name === signal)?.[1];
  if (number !== undefined) return 128 + number;
  return reason === "oom_killed" ? 128 + constants.signals.SIGKILL : 1;
}
