/**
 * The logs of stored jobs: their directories, what is masked, and when they have ended.
 *
 * The log of an attempt is its setup log, if its spec has a setup, then the job's output. The
 * offset of the output is known only once the setup is over, so nothing reads it before.
 *
 * @module
 */
import { CicdError, ignore, messageOf, toCicdError } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { JobEvents } from "@lib/spine/jobs/job_events.ts";
import { hasSetup, type JobSpec } from "@lib/spine/spec/job_spec.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import {
  type CutNotes,
  type FollowPort,
  type LogReading,
  readLog,
} from "@lib/spine/logs/log_reader.ts";
import { jobLogSize, type LogSource, setupSource } from "@lib/spine/logs/log_source.ts";
import type { LogWatch, LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import { maskLog } from "@lib/spine/logs/mask_log.ts";
import { existsSync, removeIfThere } from "@lib/foundations/files/records.ts";
import type { JobMasks } from "@lib/spine/logs/job_masks.ts";

/** Options for {@linkcode JobLogReader}. */
export interface JobLogReaderOptions {
  readonly stateDir: string;
  /** Reads the current row of a job. */
  readonly read: (id: Job["id"]) => Job;
  readonly events: JobEvents;
  readonly watcher: LogWatcher;
  readonly masks: Pick<JobMasks, "patternsOf">;
  readonly clock: Clock;
}

/** A part of a log, and how to read it. */
export interface LogQuery {
  readonly from: number;
  readonly to?: number;
  /** One stream of a split log, without the setup; absent: everything. */
  readonly stream?: "stdout" | "stderr";
  readonly timestamps: boolean;
  readonly follow: boolean;
  /** Places the lines about cut logs. @default {"each"} */
  readonly notes?: CutNotes;
  readonly signal: AbortSignal;
}

/** Reads the logs of jobs. */
export class JobLogReader {
  readonly #options: JobLogReaderOptions;

  constructor(options: JobLogReaderOptions) {
    this.#options = options;
  }

  /** Returns the size of the log so far, in bytes, over all attempts. */
  async size(job: Job, stream: "stdout" | "stderr" | undefined): Promise<number> {
    try {
      return await jobLogSize(this.#sources(job, stream), stream);
    } catch (error) {
      throw this.#named(job, error);
    }
  }

  /** Reads a log with its secrets masked; pull-based. */
  read(job: Job, query: LogQuery): LogReading {
    const { clock, masks } = this.#options;
    return readLog({
      sources: this.#sources(job, query.stream),
      patterns: () => masks.patternsOf(job),
      from: query.from,
      to: query.to,
      stream: query.stream,
      timestamps: query.timestamps ? clock : undefined,
      follow: query.follow ? this.#follow(job, query.stream) : undefined,
      notes: query.notes,
      signal: query.signal,
    });
  }

  /**
   * Masks an ended job's logs on disk, so that they no longer need its secrets.
   *
   * @throws As {@linkcode maskLog} does, and if the secrets cannot be read.
   */
  async mask(job: Job, signal: AbortSignal): Promise<void> {
    for (const source of this.#sources(job, undefined)) {
      await maskLog(source, { patterns: () => this.#options.masks.patternsOf(job), signal });
      await removeIfThere(source.directory.secretsFile);
    }
  }

  /** Says of a file that cannot be read whose it is, without the path of the state directory. */
  #named(job: Job, error: unknown): CicdError {
    const failure = toCicdError(error);
    if (failure.code !== "io_failed" || failure === error) return failure;
    const why = messageOf(error).replaceAll(`${this.#options.stateDir}/`, "");
    return new CicdError("io_failed", `Cannot read the log of job "${job.id}": ${why}`, {
      cause: error,
    });
  }

  #follow(job: Job, stream: LogQuery["stream"]): FollowPort {
    const { watcher, events, masks, read } = this.#options;
    const until = (isWanted: (now: Job) => boolean, signal: AbortSignal) =>
      events.waitFor(job.id, { read: () => read(job.id), isWanted, signal });
    return {
      watch: (directory) => watcher.watch(directory),
      settled: async (source, signal) => {
        const number = this.#numberOf(job, source);
        const attemptEnds = async (over: AbortSignal) => {
          await until((now) => isSettled(now, number), over);
        };
        if (source.isSetup !== true) return await attemptEnds(signal);
        const { path, setupDone } = source.directory;
        using watch = watcher.watch(path);
        const setupEnds = (over: AbortSignal) => waitForFile(setupDone, watch, over);
        await firstOf([attemptEnds, setupEnds], signal);
      },
      nextSource: async (count, signal) => {
        const part = partAt(job.spec, stream, count);
        const now = await until(
          ({ attempt, state }) =>
            attempt >= part.number || (isTerminal(state) && attempt === part.number - 1),
          signal,
        );
        // A job that was retried on request has other secrets than when the reading began.
        return now.attempt >= part.number
          ? { ...this.#source(now, part), patterns: await masks.patternsOf(now) }
          : undefined;
      },
    };
  }

  /** Lists the parts so far; only the last may be unsettled. */
  #sources(job: Job, stream: LogQuery["stream"]): readonly LogSource[] {
    const sources: LogSource[] = [];
    for (;;) {
      const part = partAt(job.spec, stream, sources.length);
      if (part.number > job.attempt) return sources;
      const source = this.#source(job, part);
      sources.push(source);
      if (!source.settled) return sources;
    }
  }

  #source(job: Job, { number, isSetup }: LogPart): LogSource {
    const { project, output, logMaxBytes } = job.spec;
    const directory = attemptDirectory(this.#options.stateDir, { project, jobId: job.id, number });
    const settled = isSettled(job, number);
    return isSetup
      ? setupSource(directory, settled || existsSync(directory.setupDone))
      : { directory, output, maxBytes: logMaxBytes, settled };
  }

  #numberOf(job: Job, { directory }: LogSource): number {
    const number = Number(directory.path.slice(directory.path.lastIndexOf("/") + 1));
    if (!Number.isInteger(number)) {
      throw new CicdError("internal", `The log directory of job "${job.id}" has no attempt number`);
    }
    return number;
  }
}

/** A part of a job's log: the output of an attempt, or its setup log. */
interface LogPart {
  /** Of the attempt. */
  readonly number: number;
  readonly isSetup: boolean;
}

/** Returns the part after the first `count` ones. */
function partAt(spec: JobSpec, stream: LogQuery["stream"], count: number): LogPart {
  if (stream !== undefined || !hasSetup(spec)) return { number: count + 1, isSetup: false };
  return { number: Math.floor(count / 2) + 1, isSetup: count % 2 === 0 };
}

/** Resolves with the first of several waits, and ends the others. */
async function firstOf(
  waits: readonly ((signal: AbortSignal) => Promise<void>)[],
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const waiting = waits.map((wait) => wait(either));
  try {
    await Promise.race(waiting);
  } finally {
    over.abort(new DOMException("Another wait came first", "AbortError"));
    await Promise.all(waiting.map((one) => one.catch(ignore("the first one's end counts"))));
  }
}

/** Resolves once the file exists; rejects when `signal` aborts or the watch ends. */
async function waitForFile(path: string, watch: LogWatch, signal: AbortSignal): Promise<void> {
  for (;;) {
    const version = watch.version;
    if (existsSync(path)) return;
    await watch.changed(version, signal);
  }
}

/** Returns true if an attempt's log has its last byte. */
function isSettled(job: Job, number: number): boolean {
  return number < job.attempt || isTerminal(job.state) || job.state === "queued";
}
