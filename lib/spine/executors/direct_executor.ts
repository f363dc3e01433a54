/**
 * Runs each attempt under a shell of its own, where there is no systemd.
 *
 * What a unit gives and this does not: limits on CPU, memory and tasks, their
 * figures, and a hold on processes that leave the job's session and drop its
 * variables. The time limit and the grace are kept, also without the agent.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import type {
  AttemptFound,
  AttemptHandle,
  AttemptRequest,
  Executor,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { checkDirectory, settleDirectory, wasBegun } from "@lib/spine/executors/evidence.ts";
import { recordExecFailure, requestStop } from "@lib/spine/executors/directory_files.ts";
import { jobProgram } from "@lib/spine/executors/job_program.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";
import {
  beginSupervised,
  isSupervised,
  stopSupervised,
  sweep,
} from "@lib/spine/executors/supervisor_call.ts";

/** Options for {@linkcode DirectExecutor}. */
export interface DirectExecutorOptions {
  readonly clock: Clock;
}

/** How often to look whether a supervisor was killed, which leaves no trace in the directory. */
const RECHECK_MS = 2_000;

/**
 * The executor for machines without systemd.
 *
 * At most once: the supervisor puts its own name down in the directory with
 * `link(2)`, which only one of many can do, before it runs the job.
 */
export class DirectExecutor implements Executor {
  readonly kind = "direct";
  readonly #clock: Clock;
  readonly #disposed = new AbortController();

  constructor({ clock }: DirectExecutorOptions) {
    this.#clock = clock;
  }

  async start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    signal.throwIfAborted();
    if (wasBegun(request)) return "exists";
    const program = jobProgram(request);
    if (program.kind === "failed") {
      await recordExecFailure(request.directory, program.exitCode, this.#clock.now());
      return "started";
    }
    return await beginSupervised(request, program, signal);
  }

  async look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound> {
    // The supervisor before the files: it goes after the last of them was written.
    if (!existsSync(attempt.directory.resultFile) && await isSupervised(attempt, signal)) {
      return { kind: "alive" };
    }
    const found = await checkDirectory(attempt, this.#evidenceOptions());
    if (found.kind === "vanished") await sweep(attempt, signal);
    return found;
  }

  async ended(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome> {
    const either = AbortSignal.any([signal, this.#disposed.signal]);
    await this.#gone(attempt, either);
    // Killed, then: nothing stands over what is left.
    if (!existsSync(attempt.directory.resultFile)) await sweep(attempt, either);
    return await settleDirectory(attempt, this.#evidenceOptions());
  }

  async stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (requestStop(attempt.directory, why)) await stopSupervised(attempt, signal);
  }

  describeProject(): Promise<ProjectUse> {
    return Promise.resolve({ limits: {}, usage: {} });
  }

  unhealthyReason(): string | undefined {
    return undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort(new DOMException("The executor was disposed", "AbortError"));
    return Promise.resolve();
  }

  #evidenceOptions() {
    return { monitor: "its supervisor", now: this.#clock.now() };
  }

  /** Resolves once the record is there, or the supervisor is not. */
  async #gone(attempt: AttemptHandle, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { resultFile, path } = attempt.directory;
    using changes = Deno.watchFs(path, { recursive: false });
    const events = changes[Symbol.asyncIterator]();
    let change = events.next();
    while (!existsSync(resultFile) && await isSupervised(attempt, signal)) {
      const recheckAt = this.#clock.now() + RECHECK_MS;
      while (!existsSync(resultFile) && this.#clock.now() < recheckAt) {
        const ms = recheckAt - this.#clock.now();
        const changed = await sleepUnless(change, { ms, clock: this.#clock, signal });
        if (changed) change = events.next();
      }
    }
  }
}
