/**
 * The port that runs an attempt: in a transient unit, as a plain process group or in a container.
 *
 * @module
 */
import type { AttemptDirectory, AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** An attempt as its directory describes it; it may be alive. */
export interface AttemptHandle {
  readonly ref: AttemptRef;
  readonly spec: JobSpec;
  readonly directory: AttemptDirectory;
}

/**
 * Everything an executor needs to start one attempt. Its directory exists, with `script` written
 * and the workspace made; it holds no log yet.
 */
export interface AttemptRequest extends AttemptHandle {
  /** The job's environment without its secrets, complete: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Values by name, only for the job's environment; without those that only the setup uses. */
  readonly secrets: ReadonlyMap<string, string>;
}

/** The state in which an executor finds an attempt. */
export type AttemptFound =
  /** Its processes are alive, starting or ending. */
  | { readonly kind: "alive" }
  /** It ended, and the record of its end is on disk. */
  | { readonly kind: "ended"; readonly outcome: AttemptOutcome }
  /** It started, no process of it is alive, and there is no record of its end. */
  | { readonly kind: "vanished"; readonly outcome: AttemptOutcome }
  /** No instruction of it was or will be executed. */
  | { readonly kind: "never_begun" };

/** The place of a held attempt. */
export interface HeldPlace extends AttemptRef {
  /** It is the attempt's container, or may be: an unreadable record does not tell. */
  readonly inContainer: boolean;
}

/** The reason to stop an attempt; `timeout` where no service manager enforces it. */
export type StopRequest = CancelRequest | { readonly reason: "timeout"; readonly by: string };

/**
 * Runs attempts.
 *
 * The contract is the same for every executor and checked by one suite
 * (`tests/support/executor_contract.ts`):
 *
 * - `start` may be called again for the same attempt, by this process or a later one, at any
 *   moment: the attempt's first instruction is executed at most once. The name of the unit (or the
 *   log file, where there is no service manager) is the key that refuses the second start.
 * - The attempt outlives this process. Its output and the record of its end reach its directory
 *   even while none of our programs is alive.
 * - `look` decides from disk and the service manager alone.
 * - `ended` resolves once the main process has ended *and* no process of the attempt is alive,
 *   after the record is on disk. It supports many callers and attempts that an earlier process
 *   started.
 * - `stop` is idempotent, writes `directory.stopFile` first, sends the polite signal and kills
 *   everything after the attempt's grace period. It returns when the stop is under way; `ended`
 *   resolves when it is over. Stopping an ended attempt is not an error.
 * - Every method rejects with `signal.reason` when `signal` aborts; the attempt goes on.
 */
export interface Executor extends AsyncDisposable {
  readonly kind: "unit" | "direct" | "container";
  /**
   * @returns `started`, or `exists` if the attempt was started before.
   * @throws {CicdError} `executor_failed` if it did not start, `systemd_unavailable` if that is
   * unknown.
   */
  start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists">;
  look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound>;
  ended(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome>;
  stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void>;
  /**
   * Keeps a place with the limits of an ended attempt, in which people may start programs, until
   * then; also if this process ends. Absent: the attempt has only its workspace. May be called again.
   */
  hold?(attempt: AttemptHandle, until: number, signal: AbortSignal): Promise<void>;
  /** Tells that an attempt has ended and is not held: what was kept for its hold may go. */
  notHeld?(attempt: AttemptHandle): void;
  /** Resolves when there is no such place any more. */
  holdGone?(place: HeldPlace, signal: AbortSignal): Promise<void>;
  /** Ends the place with everything in it, and resolves when it is gone. */
  endHold?(place: HeldPlace, signal: AbortSignal): Promise<void>;
  /** Returns the limits on everything the project runs, and its usage. */
  describeProject(signal: AbortSignal): Promise<ProjectUse>;
  /** Returns why the end of an attempt could not be learned now; absent or `undefined`: it could. */
  awayReason?(attempt: AttemptHandle): string | undefined;
  /**
   * Removes a directory with files that jobs made as other users, which this account may not remove.
   *
   * @throws {CicdError} If something remains.
   */
  removeForeign?(path: string, signal: AbortSignal): Promise<void>;
  /** Set while something of ended attempts is being removed; until then the agent is not idle. */
  readonly tidying?: boolean;
  /** Returns why the executor cannot work now; `undefined` while it can. */
  unhealthyReason(): string | undefined;
}

/** Limits and usage of a whole project; empty where nothing counts them. */
export interface ProjectUse {
  readonly limits: {
    /** CPUs at the same time. */
    readonly cpu?: number;
    readonly memoryBytes?: number;
    readonly tasks?: number;
  };
  readonly usage: {
    readonly memoryBytes?: number;
    readonly tasks?: number;
    /** Since the project's slice was created. */
    readonly cpuSeconds?: number;
  };
}
