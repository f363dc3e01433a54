/**
 * The log of a job of the store: which folders it lies in, what is masked, and
 * when it has ended.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import { attemptFolder } from "@lib/jobs/attempt_folder.ts";
import type { JobEvents } from "@lib/jobs/job_events.ts";
import { isTerminal, type Job } from "@lib/jobs/model.ts";
import type { FollowPort } from "@lib/logs/log_follow.ts";
import { type LogReading, readLog } from "@lib/logs/log_reader.ts";
import { jobLogSize, type LogSource } from "@lib/logs/log_source.ts";
import type { LogWatcher } from "@lib/logs/log_watcher.ts";
import { compilePatterns, type SecretPatterns } from "@lib/logs/redactor.ts";
import { secretForms } from "@lib/logs/secret_forms.ts";

/** Options for {@linkcode JobLogReader}. */
export interface JobLogReaderOptions {
  readonly stateDir: string;
  /** Reads a job as it stands now. */
  readonly read: (id: Job["id"]) => Job;
  readonly events: JobEvents;
  readonly watcher: LogWatcher;
  /** The values of a job's secrets, by name. */
  readonly secretsOf: (job: Job) => ReadonlyMap<string, string>;
  readonly clock: Clock;
}

/** What is wanted of a log. */
export interface JobLogWish {
  readonly from: number;
  readonly to?: number;
  readonly stream?: "stdout" | "stderr";
  readonly timestamps: boolean;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** Reads the logs of jobs. */
export class JobLogReader {
  readonly #options: JobLogReaderOptions;
  readonly #compiled = new Map<Job["id"], SecretPatterns>();

  constructor(options: JobLogReaderOptions) {
    this.#options = options;
  }

  /** Bytes there are now, over all attempts. */
  size(job: Job, stream: "stdout" | "stderr" | undefined): Promise<number> {
    return jobLogSize(this.#sources(job), stream);
  }

  /** Reads a log with its secrets masked; pull-based. */
  read(job: Job, wish: JobLogWish): LogReading {
    const { clock } = this.#options;
    return readLog({
      sources: this.#sources(job),
      patterns: this.#patterns(job),
      from: wish.from,
      to: wish.to,
      stream: wish.stream,
      timestamps: wish.timestamps ? clock : undefined,
      follow: wish.follow ? this.#follow(job) : undefined,
      signal: wish.signal,
    });
  }

  #follow(job: Job): FollowPort {
    const { watcher, events, read } = this.#options;
    const until = (isWanted: (now: Job) => boolean, signal: AbortSignal) =>
      events.waitFor(job.id, { read: () => read(job.id), isWanted, signal });
    return {
      watch: (folder) => watcher.watch(folder),
      settled: async (source, signal) => {
        const number = this.#numberOf(job, source);
        await until((now) => isSettled(now, number), signal);
      },
      nextSource: async (count, signal) => {
        const now = await until(
          (one) => one.attempt > count || (isTerminal(one.state) && one.attempt === count),
          signal,
        );
        return now.attempt > count ? this.#source(now, count + 1) : undefined;
      },
    };
  }

  #sources(job: Job): readonly LogSource[] {
    return Array.from({ length: job.attempt }, (_, index) => this.#source(job, index + 1));
  }

  #source(job: Job, number: number): LogSource {
    const { project, output, logMaxBytes } = job.spec;
    return {
      folder: attemptFolder(this.#options.stateDir, { project, jobId: job.id, number }),
      output,
      maxBytes: logMaxBytes,
      settled: isSettled(job, number),
    };
  }

  #numberOf(job: Job, { folder }: LogSource): number {
    const number = Number(folder.path.slice(folder.path.lastIndexOf("/") + 1));
    if (!Number.isInteger(number)) {
      throw new CicdError("internal", `The log folder of job "${job.id}" has no attempt number`);
    }
    return number;
  }

  #patterns(job: Job): SecretPatterns {
    if (job.spec.secretNames.length === 0) return compilePatterns([]);
    let patterns = this.#compiled.get(job.id);
    patterns ??= compilePatterns(secretForms(this.#options.secretsOf(job)).patterns);
    // The latest stay: followers come back to the same few jobs.
    this.#compiled.delete(job.id);
    this.#compiled.set(job.id, patterns);
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size > MAX_COMPILED && oldest !== undefined) this.#compiled.delete(oldest);
    return patterns;
  }
}

/** Jobs whose compiled patterns are kept; compiling takes milliseconds. */
const MAX_COMPILED = 16;

/** Whether an attempt's log has its last byte. */
function isSettled(job: Job, number: number): boolean {
  return number < job.attempt || isTerminal(job.state) || job.state === "queued";
}
