/**
 * What a job is, as every part of the suite sees it.
 *
 * Inside the program durations are milliseconds, sizes bytes, times
 * milliseconds since the epoch, names camelCase. The HTTP shapes are in
 * `lib/api/schemas.ts`.
 *
 * @module
 */
import type { JobId, ProjectName } from "@lib/core/ids.ts";

/** Where a job stands. The last five are terminal. */
export const JOB_STATES = [
  "queued",
  "starting",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
  "lost",
] as const;

/** A state of {@linkcode JOB_STATES}. */
export type JobState = typeof JOB_STATES[number];

/** A state in which nothing happens any more. */
export type TerminalState = "succeeded" | "failed" | "cancelled" | "timed_out" | "lost";

/** Whether nothing happens any more in `state`. */
export function isTerminal(state: JobState): state is TerminalState {
  return state !== "queued" && state !== "starting" && state !== "running";
}

/** Why an attempt ended as it did. */
export const END_REASONS = [
  /** The job's main process exited; see the exit code. */
  "exit_code",
  /** A signal from outside the suite ended the job's main process. */
  "signal",
  /** The kernel killed the job at its memory limit, or the project's. */
  "oom_killed",
  /** The time limit passed. */
  "timeout",
  /** Someone cancelled the job. */
  "cancelled",
  /** A newer job of the same concurrency group took its place. */
  "superseded",
  /** The program named by the job could not be executed. */
  "exec_failed",
  /** The repository could not be checked out. */
  "checkout_failed",
  /** The container image could not be had, or is not allowed here. */
  "image_unavailable",
  /** The suite, not the job, failed: the attempt could not be started. */
  "start_failed",
  /** The machine or the service manager went away under the job. */
  "agent_lost",
] as const;

/** A reason of {@linkcode END_REASONS}. */
export type EndReason = typeof END_REASONS[number];

/** Limits on one job; absent means not limited by the job itself. */
export interface JobLimits {
  /** CPUs the job may use at once: 0.5 is half of one core. */
  readonly cpu?: number;
  /** Bytes of memory, page cache included. */
  readonly memoryBytes?: number;
  /** Processes and threads. */
  readonly tasks?: number;
  /** Bytes the container's own file system may grow by, where the engine's driver can. */
  readonly diskBytes?: number;
}

/** When a further attempt is made by itself. */
export interface RetryPolicy {
  /** How many further attempts, 0 to 10. */
  readonly max: number;
  /** Which terminal outcomes are tried again. */
  readonly on: readonly RetryCause[];
  /** Wait before the second attempt; doubles with each further one. */
  readonly delayMs: number;
}

/** An outcome a retry policy may name. */
export const RETRY_CAUSES = ["failed", "oom_killed", "timed_out", "lost"] as const;
/** A cause of {@linkcode RETRY_CAUSES}. */
export type RetryCause = typeof RETRY_CAUSES[number];

/** What to run: a program with arguments, or a script for a shell. */
export type JobWork =
  | { readonly kind: "command"; readonly argv: readonly string[] }
  | { readonly kind: "script"; readonly text: string; readonly shell: string };

/** When an image is fetched from its registry. */
export const PULL_POLICIES = ["always", "missing", "never"] as const;
/** A policy of {@linkcode PULL_POLICIES}. */
export type PullPolicy = typeof PULL_POLICIES[number];

/** The container a job runs in. */
export interface ContainerSpec {
  /** As given: `name:tag`, or `name@sha256:…`. */
  readonly image: string;
  readonly pull: PullPolicy;
  /** `none`, `bridge`, `host` (if the configuration allows it), or the name of a network. */
  readonly network: string;
  /** `job`: the job's command is all that runs; `image`: it goes to the image's entrypoint. */
  readonly entrypoint: "job" | "image";
  /** Absent: chosen so that what the job writes belongs to the account. */
  readonly user?: string;
  readonly registry?: { readonly username: string; readonly passwordSecret: string };
  /** Each must be allowed by the configuration of the project. */
  readonly mounts: readonly ContainerMount[];
  /** Capabilities to add to none, such as `NET_RAW`; each must be allowed. */
  readonly capabilities: readonly string[];
  readonly privileged: boolean;
  /** Soft and hard limit by name, such as `nofile`. */
  readonly ulimits: Readonly<Record<string, number>>;
  readonly shmBytes?: number;
}

/** A path of the machine that a container sees. */
export interface ContainerMount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** The repository that is checked out into the workspace before the job begins. */
export interface GitSpec {
  /** `https://`, `http://` or `ssh://`, or `user@host:path`; holds no credentials. */
  readonly url: string;
  /** Branch or tag, or a full `refs/…`; absent: what the remote's `HEAD` names. */
  readonly ref?: string;
  /** The full id of the commit that must be checked out. */
  readonly sha?: string;
  /** Commits of history; 0: all of it. */
  readonly depth: number;
  readonly submodules: boolean;
  readonly lfs: boolean;
  /** Folder below the workspace; `.` is the workspace itself. */
  readonly path: string;
  /** Name of the secret that opens the remote; it never reaches the job. */
  readonly tokenSecret?: string;
}

/** A file put into the workspace after the checkout, before the job begins. */
export interface WorkspaceFile {
  /** Below the workspace; one that ends in `/` is a folder. */
  readonly path: string;
  /** Base64. */
  readonly content: string;
  readonly executable: boolean;
}

/** What is kept of a workspace after the job. */
export interface ArtifactSpec {
  /** Globs below the workspace; one that begins with `!` takes away again. */
  readonly paths: readonly string[];
  /** After which endings. */
  readonly when: "success" | "failure" | "always";
}

/** A folder that is carried from job to job. */
export interface CacheSpec {
  readonly name: string;
  /** Below the workspace. */
  readonly paths: readonly string[];
  /** Globs of the files whose content makes the key, such as `package-lock.json`. */
  readonly keyFiles: readonly string[];
}

/** A validated job, with every default filled in, without its secrets. */
export interface JobSpec {
  readonly project: ProjectName;
  readonly work: JobWork;
  readonly env: Readonly<Record<string, string>>;
  /** Names of the secrets; their values are sealed apart. */
  readonly secretNames: readonly string[];
  /** Absolute, or relative to the job's own workspace. */
  readonly workdir?: string;
  readonly limits: JobLimits;
  readonly timeoutMs: number;
  /** Between the polite signal and SIGKILL. */
  readonly graceMs: number;
  /** 0 to 9; higher starts earlier. */
  readonly priority: number;
  readonly concurrencyGroup?: string;
  readonly cancelInProgress: boolean;
  readonly retries: RetryPolicy;
  /** `merged`: one log in the order of writing; `split`: stdout and stderr apart. */
  readonly output: "merged" | "split";
  /** Bytes of log that are kept. */
  readonly logMaxBytes: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent: the job runs as a process of the account. */
  readonly container?: ContainerSpec;
  readonly git?: GitSpec;
  readonly files?: readonly WorkspaceFile[];
  readonly artifacts?: ArtifactSpec;
  readonly caches?: readonly CacheSpec[];
}

/**
 * The secrets that only the suite itself uses: for the checkout and the registry.
 *
 * They never reach the job; who wants one in the job too gives it a second time.
 */
export function setupSecretNames({ git, container }: JobSpec): ReadonlySet<string> {
  const names = [git?.tokenSecret, container?.registry?.passwordSecret];
  return new Set(names.filter((name) => name !== undefined));
}

/**
 * Whether something is done before the job begins, and told in the attempt's setup log.
 *
 * The agent and the readers of logs must agree on it: of such an attempt nothing runs before
 * `setup.done` exists.
 */
export function hasSetup({ git, files = [], caches = [], container }: JobSpec): boolean {
  return git !== undefined || container !== undefined || files.length > 0 || caches.length > 0;
}

/** What an attempt used; a figure that could not be measured is absent. */
export interface Usage {
  readonly cpuSeconds?: number;
  readonly memoryPeakBytes?: number;
  /** From the first instruction to the end. */
  readonly wallSeconds?: number;
  /** Seconds in which the CPU limit held the job back. */
  readonly cpuThrottledSeconds?: number;
}

/** How an attempt ended: the executor's verdict, before any retry policy. */
export interface AttemptOutcome {
  readonly state: TerminalState;
  readonly reason: EndReason;
  /** For people: names the limit that was hit, the signal, the missing program. */
  readonly message: string;
  readonly exitCode?: number;
  /** Such as `SIGKILL`. */
  readonly signal?: string;
  readonly usage: Usage;
  readonly startedAt?: number;
  readonly finishedAt: number;
  /** Bytes of log, over all streams. */
  readonly logBytes: number;
}

/** A job's row. */
export interface Job {
  readonly id: JobId;
  readonly spec: JobSpec;
  readonly state: JobState;
  /** Number of the latest attempt; 0 before the first. */
  readonly attempt: number;
  /** Number of the latest attempt when someone last asked for a retry, else 0. */
  readonly retryBase: number;
  readonly reason?: EndReason;
  readonly message?: string;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly usage: Usage;
  readonly createdAt: number;
  /** A queued job is not started before this. */
  readonly notBefore: number;
  readonly startedAt?: number;
  readonly finishedAt?: number;
  /** Set while a cancel is under way. */
  readonly cancel?: CancelRequest;
  /** Grows with every change of any job; the id of the change in `/v1/events`. */
  readonly revision: number;
}

/** Who asked for a cancel, and why. */
export interface CancelRequest {
  readonly reason: "cancelled" | "superseded";
  /** For people: `by request`, or the id of the superseding job. */
  readonly by: string;
}

/** One attempt of a job, for the record. */
export interface Attempt {
  readonly jobId: JobId;
  /** Counts from 1. */
  readonly number: number;
  readonly state: JobState;
  readonly outcome?: AttemptOutcome;
  readonly startedAt?: number;
}
