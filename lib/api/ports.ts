/**
 * What the API needs of the rest; `cmd/runner/wire.ts` joins it.
 *
 * @module
 */
import type { ArtifactReader } from "@lib/features/artifacts/artifact_reader.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import type { BodyLimits } from "@lib/foundations/http/body.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import type { JobEvents } from "@lib/spine/jobs/job_events.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { LogReading } from "@lib/spine/logs/log_reader.ts";
import type { SweepOptions } from "@lib/features/cleaning/sweep.ts";
import type { Clean } from "@lib/features/cleaning/housekeeping_routes.ts";
import type { Gate } from "@lib/features/access/gate.ts";
import type { KeyStore } from "@lib/features/access/key_store.ts";
import type { RequestDefaults } from "@lib/spine/spec/job_request.ts";

/** A view of a job's log. */
export interface LogWish {
  /** Offset of the first byte. */
  readonly from: number;
  /** Offset after the last byte; absent: to the end. */
  readonly to?: number;
  /** Absent: everything. */
  readonly stream?: "stdout" | "stderr";
  /** Put the time of arrival before each line. */
  readonly timestamps: boolean;
  /** Go on until the job has ended. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** Reads logs, with secrets masked. */
export interface JobLogs {
  /** Bytes there are now. */
  size(job: Job, stream: LogWish["stream"]): Promise<number>;
  /** Pull-based: what is not asked for is not read. */
  read(job: Job, wish: LogWish): LogReading;
}

/** Reads what was kept of jobs. */
export type ArtifactReading = Pick<ArtifactReader, "list" | "find">;

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
  /** What is dangerous about how it is set up, one sentence each. */
  readonly warnings: readonly string[];
}

/** Finds the jobs of Gryt's API by the ids it gave them. */
export interface GrytLogs {
  /** @throws {CicdError} `unauthorized` or `rate_limited` if the request lacks the key of Gryt. */
  assertKey(request: Request, origin: Origin): void;
  /** @param id As in Gryt's path; `undefined` if no job has it. */
  jobOf(id: string): Job | undefined;
}

/** Everything the routes use. */
export interface ApiPorts {
  readonly store: JobStore;
  readonly events: JobEvents;
  readonly logs: JobLogs;
  readonly artifacts: ArtifactReading;
  /** Tells who asks over a network. */
  readonly access: Pick<Gate, "authenticate" | "countFailure">;
  readonly keys: KeyStore;
  /** Logs of jobs that came through Gryt's API, for those who have its key; absent: none. */
  readonly grytLogs?: GrytLogs;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bodyLimits: () => BodyLimits;
  readonly defaultsOf: (project: ProjectName) => RequestDefaults;
  /** Projects that the configuration names. */
  readonly configuredProjects: () => readonly ProjectName[];
  readonly maxRunningOf: (project: ProjectName) => number;
  /** @throws {CicdError} `queue_full` */
  readonly assertRoom: () => void;
  /** @throws {CicdError} `draining` */
  readonly assertOpen: (project: ProjectName) => void;
  /** @throws {CicdError} `disk_full` while there is less free space than configured */
  readonly assertDisk: () => void;
  readonly seal: (secrets: Readonly<Record<string, string>>, jobId: string) => Uint8Array;
  readonly agentView: (project: ProjectName, signal: AbortSignal) => Promise<AgentView>;
  readonly wakeQueue: () => void;
  readonly facts: () => RunnerFacts;
  /** Why the runner is not ready, one sentence each. */
  readonly unreadyReasons: () => readonly string[];
  readonly sweep: SweepOptions;
  readonly clean: Clean;
  /** What stands behind the Gryt-compatible API; absent: it is not configured. */
  readonly gryt?: GrytService;
  readonly renderMetrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
}
