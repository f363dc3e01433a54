/**
 * A feature as a value: everything that it adds to the programs.
 *
 * A feature is one directory below `lib/features/`; its `feature.ts` exports one
 * {@linkcode Feature}, and `cmd/features.ts` lists it. Both programs and the command line read that
 * list, and load each part on first use.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import type { AgentProblem } from "@lib/spine/agent_link/known_agents.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { TaskGroup } from "@lib/core/task_group.ts";
import type { Config, Section } from "@lib/foundations/config/config.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";
import type { BodyLimits } from "@lib/foundations/http/body.ts";
import type { Metric } from "@lib/foundations/metrics/metric.ts";
import type { WebSocketSession } from "@lib/foundations/http/web_socket.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import type { Database, Migration } from "@lib/foundations/store/database.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle, Executor } from "@lib/spine/jobs/executor.ts";
import type { JobEvents } from "@lib/spine/jobs/job_events.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { AttemptStep } from "@lib/spine/jobs/step.ts";
import type { JobLogReader } from "@lib/spine/logs/job_logs.ts";
import type { Intake } from "@lib/spine/queue/intake.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import type { RetryOptions, SubmitOptions, Submitted } from "@lib/spine/queue/submit.ts";
import type { Authenticator } from "@lib/api/access.ts";
import type { CleanSource } from "@lib/api/clean_source.ts";
import type { Command } from "@lib/api/client/command.ts";
import type { AnyRoute, AnySocket } from "@lib/api/route.ts";
import type { OpenTerminal } from "@lib/api/terminal_opener.ts";
import type { UsageSource } from "@lib/api/usage_source.ts";
import type { ForeignPaths } from "@lib/api/router.ts";

/**
 * A feature; every part but the name is optional, and loaded on demand.
 *
 * The build leaves `runner.ts` and `cleaning.ts` out of the agent's bundle, and `commands.ts` out of
 * the agent's and the daemon's. The daemon has `agent.ts`, to stop a job whose agent does not answer.
 */
export interface Feature {
  /** Names its directory, and the version of its tables in the database. */
  readonly name: string;
  /** Its configuration keys, in the order of the reference. */
  readonly sections?: readonly Section[];
  readonly runner?: () => Promise<RunnerModule>;
  readonly agent?: () => Promise<AgentModule>;
  /** Loaded by the first cleaning. */
  readonly cleaning?: () => Promise<CleaningModule>;
  readonly commands?: () => Promise<CommandsModule>;
}

/** `commands.ts` of a feature: light, as every run of the command line loads it. */
export interface CommandsModule {
  /** In the order of the help. */
  readonly commands: readonly Command[];
}

/** `runner.ts` of a feature. */
export interface RunnerModule {
  /** Names the version of its tables. Default: the feature's name. */
  readonly schema?: string;
  /** Migrations of its tables, in order; an applied one is never edited. */
  readonly migrations?: readonly Migration[];
  readonly part: (services: RunnerServices) => RunnerPart;
}

/** `agent.ts` of a feature. */
export interface AgentModule {
  readonly part: (services: AgentServices) => AgentPart;
}

/** `cleaning.ts` of a feature. */
export interface CleaningModule {
  /** Makes the clean sources; called once per runner process. */
  readonly sources: (services: RunnerServices) => readonly CleanSource[];
  /** Removes a directory with files that jobs made as other users. @throws {CicdError} If something remains. */
  readonly removeForeign?: (
    path: string,
    services: RunnerServices,
    signal: AbortSignal,
  ) => Promise<void>;
}

/** A feature in the runner. */
export interface RunnerPart extends Partial<Disposable> {
  readonly routes?: readonly AnyRoute[];
  readonly sockets?: readonly AnySocket[];
  readonly foreignPaths?: ForeignPaths;
  readonly authenticator?: Authenticator;
  /** Collects its metrics; what that needs is loaded by the first scrape. */
  readonly metrics?: () => readonly Metric[] | Promise<readonly Metric[]>;
  /** Loads the usage of language models that is to be delivered once. */
  readonly usageSource?: () => Promise<UsageSource>;
  /** Loads what opens terminals for other features. */
  readonly terminalOpener?: () => Promise<OpenTerminal>;
  /** Returns its links to other systems, for a status. */
  readonly links?: () => readonly LinkStatus[];
  /** Starts background work, after all features are made. */
  readonly start?: () => void;
  /** The configuration has changed. */
  readonly reconfigured?: () => void;
  /** Returns true while the process must not exit as idle. */
  readonly hasWork?: () => boolean;
  /** Returns true while the process must stay although it has no work. */
  readonly keepsRunning?: () => boolean;
  /** Masks what is kept of an ended job on disk; its secrets are removed next. */
  readonly maskKept?: (
    job: Job,
    mask: (text: string) => string,
    signal: AbortSignal,
  ) => Promise<void>;
  /**
   * Waits for answers that a stopping runner owes; `false` if it owes none. Rejects with the
   * signal's reason.
   */
  readonly answered?: (signal: AbortSignal) => Promise<boolean>;
  /** Ends its links to other systems in order; called once, when the process stops. */
  readonly leave?: (signal: AbortSignal) => Promise<void>;
}

/** A link to another system. */
export interface LinkStatus {
  readonly name: string;
  readonly state: string;
  /** Empty: the state says it all. */
  readonly detail: string;
  /** When the state began, in milliseconds since the epoch. */
  readonly since: number;
  readonly isGood: boolean;
}

/** The services of the runner for its features. */
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
  /** Returns what masks a job's secrets in texts about it. */
  readonly maskOf: (job: Job) => Promise<(text: string) => string>;
  /** Refuses jobs that cannot be accepted. */
  readonly intake: Pick<Intake, "assertRoom" | "assertOpen" | "assertDisk">;
  /** Validates and stores a job; returns once it is on disk. */
  readonly submit: (body: unknown, options: SubmitOptions) => Submitted;
  /** The same, in one commit with others of the moment. */
  readonly submitSoon: (body: unknown, options: SubmitOptions) => Promise<Submitted>;
  /** Queues an ended job again, with the secrets of the body. */
  readonly retry: (id: JobId, options: RetryOptions) => Promise<Job>;
  readonly tasks: TaskGroup;
  /** Aborts with `runner_stopping` when the runner stops accepting: answers that go on end. */
  readonly stopping: AbortSignal;
  /** The authenticator of the feature that has one; for checks of keys other than the API's. */
  readonly authenticator: Authenticator;
  readonly bodyLimits: () => BodyLimits;
  /** Projects in the configuration. */
  readonly configuredProjects: () => readonly ProjectName[];
  readonly maxRunningOf: (project: ProjectName) => number;
  /** Returns the agents that did not answer, or could not do their work, when last asked. */
  readonly agentProblems: () => readonly AgentProblem[];
  /** The way to the sockets of agents. */
  readonly agents: Pick<AgentHost, "socketPath" | "ensureListening">;
  readonly agentView: (project: ProjectName, signal: AbortSignal) => Promise<AgentView>;
  /** Returns why a job waits for something other than its turn. */
  readonly waitingReason: (job: Job) => string | undefined;
  /** Resolves when the agents have answered for the jobs under way, right after a start. */
  readonly statesKnown: (signal: AbortSignal) => Promise<void>;
  readonly wakeQueue: () => void;
  /**
   * Tells that a job may start soon, once `ending` others have ended: what can be done in advance is
   * done beside other work.
   */
  readonly startExpected: (ending?: number) => void;
  /** Tells that the service manager will be asked to start a program, whatever the queue holds. */
  readonly unitExpected: () => void;
  readonly facts: () => RunnerFacts;
  /** Returns the command of this program, to be followed by arguments. */
  readonly ownCommand: () => readonly string[];
  /** Returns the reasons why the runner is not ready, one sentence each. */
  readonly unreadyReasons: () => readonly string[];
  /** Returns the load of the API's server. */
  readonly serverLoad: () => { readonly connections: number; readonly activeRequests: number };
  /** Returns the parts of all features, including this one, once they are made. */
  readonly parts: () => readonly RunnerPart[];
  /** Loads the clean sources of all features. */
  readonly cleanSources: () => Promise<readonly CleanSource[]>;
  /** Removes what jobs made as other users, through the features that let them. */
  readonly removeForeign: (path: string, signal: AbortSignal) => Promise<void>;
}

/** Reads logs, with secrets masked. */
export type JobLogs = Pick<JobLogReader, "size" | "read">;

/** The state of an agent that is known without starting it. */
export interface AgentView {
  readonly running: boolean;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Facts about the runner. */
export interface RunnerFacts {
  readonly version: string;
  readonly build: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly agents: string;
  readonly maxRunning: number;
  readonly stateDir: string;
  /** Jobs with secrets that were sealed with another key file. */
  readonly unreadableSecrets: number;
  /** Dangers of its configuration, one sentence each. */
  readonly warnings: readonly string[];
}

/** A feature in an agent. */
export interface AgentPart extends Partial<Disposable>, Partial<AsyncDisposable> {
  /** Takes over what an earlier agent has left; before the agent answers its runner. */
  readonly adopt?: (signal: AbortSignal) => Promise<void>;
  /** Answers a request of the runner, unless it is for another part. @throws {CicdError} */
  readonly handle?: (request: Request) => Promise<Response | undefined>;
  /** Accepts a WebSocket of the runner, unless it is for another part. @throws {CicdError} */
  readonly upgrade?: (request: Request) => Promise<WebSocketSession | undefined>;
  /** The place of an attempt is about to go: ends what people do there. */
  readonly onHoldEnded?: (ref: AttemptRef) => Promise<void>;
  /** Returns true while the agent must not exit as idle. */
  readonly isBusy?: () => boolean;
  /** Steps around a job: in the order of the features before it, in reverse order after it. */
  readonly steps?: readonly AttemptStep[];
  /** Makes the executor of jobs in containers; called by the first job that needs it. */
  readonly containers?: () => Promise<Executor>;
  /** Finds the running container of a job that has one. */
  readonly containerOf?: ContainerFinder;
  /** Background work. */
  readonly tasks?: Readonly<Record<string, (signal: AbortSignal) => Promise<void>>>;
}

/** Finds the running container of a job, and its engine. */
export type ContainerFinder = (
  attempt: AttemptHandle,
  signal: AbortSignal,
) => Promise<{ readonly address: EngineAddress; readonly container: string } | undefined>;

/** A store of descriptors that outlives this process. */
export interface DescriptorStore {
  /** By name. */
  readonly kept: ReadonlyMap<string, number>;
  /** Set if there is a store. */
  readonly keepsDescriptors: boolean;
  keepDescriptor(name: string, fd: number): Promise<void>;
  dropDescriptor(name: string): Promise<void>;
}

/** The services of an agent for its features. */
export interface AgentServices {
  readonly project: ProjectName;
  readonly config: () => Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
  /** The directory of the release; `undefined` in a checkout. */
  readonly libDir: string | undefined;
  /** Of what runs as the account. */
  readonly umask: number;
  /** Returns how to connect to the service manager, if jobs are units; else `undefined`. */
  readonly units: () => Promise<((signal: AbortSignal) => Promise<UnitManager>) | undefined>;
  /** Returns the environment of a job, without its secrets. */
  readonly environmentOf: (attempt: AttemptHandle) => Readonly<Record<string, string>>;
  /** Finds the running container of a job, through the feature that runs it. */
  readonly containerOf: ContainerFinder;
  /** The service manager's store of descriptors, and what an earlier agent has left there. */
  readonly descriptors: DescriptorStore;
  /** Loads the runner of helper programs (git, tar) that a later agent of the project can find. */
  readonly helperRunner: () => Promise<RunCommand>;
}
