/**
 * The port behind which an attempt runs: in a transient unit, as a plain
 * process group, in a container.
 *
 * @module
 */
import type { AttemptDirectory, AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** Everything an executor needs to start one attempt. */
export interface AttemptRequest {
  readonly ref: AttemptRef;
  readonly spec: JobSpec;
  /** The job's environment without its secrets, complete: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Values by name; they reach the job's environment and nothing else. Those that only the setup
   * uses are not among them. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Exists, with `script` written and `work/` made; holds no log yet. */
  readonly directory: AttemptDirectory;
}

/** What an executor finds of an attempt when it looks. */
export type AttemptFound =
  /** Its processes live, or are on their way to the first instruction or to their end. */
  | { readonly kind: "alive" }
  /** It ended, and the record of its end is on disk. */
  | { readonly kind: "ended"; readonly outcome: AttemptOutcome }
  /** It was begun, nothing of it lives, and no record says how it ended. */
  | { readonly kind: "vanished"; readonly outcome: AttemptOutcome }
  /** No instruction of it was ever executed, and none will be. */
  | { readonly kind: "never_begun" };

/** Why an attempt is being stopped; `timeout` where no service manager sees to it. */
export type StopRequest = CancelRequest | { readonly reason: "timeout"; readonly by: string };

/**
 * Runs attempts.
 *
 * Contract, the same for every executor and checked by one suite
 * (`tests/support/executor_contract.ts`):
 *
 * - `start` may be called again for the same attempt, by this process or a
 *   later one, at any moment: the attempt's first instruction is executed at
 *   most once in its life. The name of the unit (or the log file, where there
 *   is no service manager) is the key that refuses the second.
 * - The attempt outlives this process. Its output and the record of its end
 *   reach its directory while no program of ours is alive.
 * - `look` decides from disk and the service manager alone.
 * - `ended` resolves once the main process has ended *and* nothing of the
 *   attempt lives any more, after the record is on disk. Many callers may
 *   wait; it works for attempts begun by an earlier process.
 * - `stop` is idempotent, writes `directory.stopFile` first, asks politely,
 *   and kills everything after the attempt's grace period. It returns when
 *   the stop is under way; `ended` tells when it is over. Stopping what has
 *   ended is no error.
 * - Every method rejects with `signal.reason` when `signal` aborts; the
 *   attempt itself is not touched by that.
 */
export interface Executor extends AsyncDisposable {
  readonly kind: "unit" | "direct" | "container";
  /**
   * @returns `started`, or `exists` if the attempt was begun before.
   * @throws {CicdError} `executor_failed` if it was not begun, `systemd_unavailable`
   * if that is not known.
   */
  start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists">;
  look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound>;
  ended(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome>;
  stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void>;
  /** The limits on everything the project runs, and what it uses. */
  describeProject(signal: AbortSignal): Promise<ProjectUse>;
  /** Why the executor cannot work now, or `undefined` while it can. */
  unhealthyReason(): string | undefined;
}

/** A project as a whole; empty where nothing keeps count of it. */
export interface ProjectUse {
  readonly limits: {
    /** CPUs at once. */
    readonly cpu?: number;
    readonly memoryBytes?: number;
    readonly tasks?: number;
  };
  readonly usage: {
    readonly memoryBytes?: number;
    readonly tasks?: number;
    /** Since the project's slice was made. */
    readonly cpuSeconds?: number;
  };
}

/** An attempt that may be alive: what is known of it from its directory. */
export interface AttemptHandle {
  readonly ref: AttemptRef;
  readonly spec: JobSpec;
  readonly directory: AttemptDirectory;
}
