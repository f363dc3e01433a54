/**
 * A feature as a value: everything that it adds to the programs.
 *
 * A feature is one directory below `lib/features/`; its `feature.ts` exports one
 * {@linkcode Feature}, and `cmd/features.ts` lists it. Both programs and the
 * command line read that list, so a part is loaded by who needs it, and what is
 * heavy or rarely used only on first use.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { Caller } from "@lib/core/caller.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { TaskGroup } from "@lib/core/task_group.ts";
import type { Config, Section } from "@lib/foundations/config/config.ts";
import type { BodyLimits } from "@lib/foundations/http/body.ts";
import type { Metric } from "@lib/foundations/metrics/render_metrics.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import type { Database, Migration } from "@lib/foundations/store/database.ts";
import type { Executor } from "@lib/spine/jobs/executor.ts";
import type { JobEvents } from "@lib/spine/jobs/job_events.ts";
import type { AttemptStep } from "@lib/spine/jobs/step.ts";
import type { JobLogReader } from "@lib/spine/logs/job_logs.ts";
import type { Intake } from "@lib/spine/queue/intake.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import type { Submitted } from "@lib/spine/queue/submit.ts";
import type { Authenticator } from "@lib/api/access.ts";
import type { CleanSource } from "@lib/api/clean_source.ts";
import type { Command } from "@lib/api/client/command.ts";
import type { AnyRoute, AnySocket } from "@lib/api/route.ts";
import type { ForeignPaths } from "@lib/api/router.ts";

/**
 * A feature; every part but the name is optional, and loaded by who needs it.
 *
 * The build leaves `runner.ts` and `cleaning.ts` out of the agent's bundle, `agent.ts` out of the
 * daemon's, and `commands.ts` out of both.
 */
export interface Feature {
  /** Name of its directory, and of its tables' versions in the database. */
  readonly name: string;
  /** Its configuration keys, in the order of the reference. */
  readonly sections?: readonly Section[];
  readonly runner?: () => Promise<RunnerModule>;
  readonly agent?: () => Promise<AgentModule>;
  /** Loaded by the first cleaning. */
  readonly cleaning?: () => Promise<CleaningModule>;
  readonly commands?: () => Promise<CommandsModule>;
}

/** `commands.ts` of a feature: loads little, as every run of the command line reads it. */
export interface CommandsModule {
  /** In the order of the help. */
  readonly commands: readonly Command[];
}

/** `runner.ts` of a feature. */
export interface RunnerModule {
  /** Changes of its tables, in order; an applied one is never edited. */
  readonly migrations?: readonly Migration[];
  readonly part: (services: RunnerServices) => RunnerPart;
}

/** `agent.ts` of a feature. */
export interface AgentModule {
  readonly part: (services: AgentServices) => AgentPart;
}

/** `cleaning.ts` of a feature. */
export interface CleaningModule {
  /** Makes the sources of what can be cleaned; called once in the life of a runner. */
  readonly sources: (services: RunnerServices) => readonly CleanSource[];
}

/** A feature in the runner. */
export interface RunnerPart extends Partial<Disposable> {
  readonly routes?: readonly AnyRoute[];
  readonly sockets?: readonly AnySocket[];
  readonly foreignPaths?: ForeignPaths;
  readonly authenticator?: Authenticator;
  readonly metrics?: () => readonly Metric[];
  /** Begins work of its own, after all features are made. */
  readonly start?: () => void;
  /** The configuration has changed. */
  readonly reconfigured?: () => void;
  /** Whether the process must not exit as idle. */
  readonly hasWork?: () => boolean;
  /**
   * Waits for answers under way that a stopping runner still gives.
   *
   * Rejects with the signal's reason.
   */
  readonly answered?: (signal: AbortSignal) => Promise<void>;
}

/** The runner as its features use it. */
export interface RunnerServices {
  readonly config: () => Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly db: Database;
  readonly store: JobStore;
  readonly events: JobEvents;
  /** Reads logs with secrets masked. */
  readonly logs: JobLogs;
  /** Refuses jobs that cannot be taken. */
  readonly intake: Pick<Intake, "assertRoom" | "assertOpen" | "assertDisk">;
  /** Validates and stores a job; the answer comes after it is on disk. */
  readonly submit: (body: unknown, options: SubmitOptions) => Submitted;
  readonly tasks: TaskGroup;
  /** Of the feature that has one; for checks of other keys than those of the API. */
  readonly authenticator: Authenticator;
  readonly bodyLimits: () => BodyLimits;
  /** Projects that the configuration names. */
  readonly configuredProjects: () => readonly ProjectName[];
  readonly maxRunningOf: (project: ProjectName) => number;
  readonly agentView: (project: ProjectName, signal: AbortSignal) => Promise<AgentView>;
  readonly wakeQueue: () => void;
  readonly facts: () => RunnerFacts;
  /** Why the runner is not ready, one sentence each. */
  readonly unreadyReasons: () => readonly string[];
  /** Open connections and requests of the API's server. */
  readonly serverLoad: () => { readonly connections: number; readonly activeRequests: number };
  /** The parts of all features, this one's too, once they are made. */
  readonly parts: () => readonly RunnerPart[];
  /** Loads the sources of what all features can clean. */
  readonly cleanSources: () => Promise<readonly CleanSource[]>;
}

/** Reads logs, with secrets masked. */
export type JobLogs = Pick<JobLogReader, "size" | "read">;

/** How a job is submitted. */
export interface SubmitOptions {
  readonly caller: Caller;
  readonly idempotencyKey: string | null;
  /** Stored in the same transaction as the job. */
  readonly also?: (id: JobId) => void;
}

/** An agent as far as it is known without starting it. */
export interface AgentView {
  readonly running: boolean;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** The runner about itself. */
export interface RunnerFacts {
  readonly version: string;
  readonly build: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly agents: string;
  readonly maxRunning: number;
  readonly stateDir: string;
  /** Dangers of how it is set up, one sentence each. */
  readonly warnings: readonly string[];
}

/** A feature in an agent. */
export interface AgentPart extends Partial<Disposable> {
  /** Steps around a job. Before it they run in the order of the features, after it in reverse. */
  readonly steps?: readonly AttemptStep[];
  /** Runs jobs in containers; made by the first job that needs it. */
  readonly containers?: () => Promise<Executor>;
  /** Work of its own in the background. */
  readonly tasks?: Readonly<Record<string, (signal: AbortSignal) => Promise<void>>>;
}

/** An agent as its features use it. */
export interface AgentServices {
  readonly project: ProjectName;
  readonly config: () => Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Loads what runs helper programs (git, tar) that a later agent of the project can find. */
  readonly helperRunner: () => Promise<RunCommand>;
}
