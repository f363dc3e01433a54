/**
 * The configuration as the programs use it: durations in milliseconds, sizes
 * in bytes, paths absolute.
 *
 * The keys it is read from are in `keys.ts`.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";

/** The configuration of both programs. */
export interface Config {
  readonly socket: string;
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly agents: "auto" | "systemd" | "child";
  readonly executor: "auto" | "unit" | "direct";
  /** 0: never. */
  readonly idleExitMs: number;
  /** 0: never. */
  readonly agentIdleExitMs: number;
  readonly log: LogConfig;
  readonly http: HttpConfig;
  readonly queue: QueueConfig;
  readonly defaults: JobDefaults;
  /** Only the projects that the file names; others have the defaults. */
  readonly projects: ReadonlyMap<ProjectName, ProjectConfig>;
  readonly retention: RetentionConfig;
}

/** What is logged, and how. */
export interface LogConfig {
  readonly level: "debug" | "info" | "warning" | "error";
  readonly format: "auto" | "journal" | "text" | "json";
}

/** Bounds of the API's server. */
export interface HttpConfig {
  readonly maxBodyBytes: number;
  readonly maxHeaderBytes: number;
  readonly maxConnections: number;
  readonly bodyTimeoutMs: number;
}

/** Bounds of the queue. */
export interface QueueConfig {
  readonly maxQueued: number;
  readonly maxRunning: number;
  /** Waiting time that is worth one step of priority; 0: none is. */
  readonly ageingMs: number;
}

/** Limits on one job; absent means not limited. */
export interface ResourceLimits {
  /** CPUs the job may use at once. */
  readonly cpu?: number;
  readonly memoryBytes?: number;
  /** Processes and threads. */
  readonly tasks?: number;
}

/** What a job gets that does not say otherwise. */
export interface JobDefaults {
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly shell: string;
  readonly logMaxBytes: number;
  /** 0 to 9. */
  readonly priority: number;
  readonly limits: ResourceLimits;
  readonly env: Readonly<Record<string, string>>;
  /** Names of the variables jobs inherit. */
  readonly passEnv: readonly string[];
}

/** What the file says of one project. */
export interface ProjectConfig {
  readonly maxRunning?: number;
  readonly limits: ResourceLimits;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly graceMs?: number;
  readonly logMaxBytes?: number;
  /** Absolute, or relative to the job's own workspace. */
  readonly workdir?: string;
}

/** How much of the history is kept. */
export interface RetentionConfig {
  readonly maxAgeMs: number;
  readonly maxJobs: number;
  readonly maxBytes: number;
  readonly minFreeDiskBytes: number;
  readonly intervalMs: number;
}

/** {@linkcode JobDefaults} of one project, its own settings laid over the general ones. */
export interface ProjectSettings extends JobDefaults {
  /** Jobs of the project that may run at once. */
  readonly maxRunning: number;
  readonly workdir?: string;
}

/** What holds for `project`: its own settings, else the defaults. */
export function projectSettings(config: Config, project: ProjectName): ProjectSettings {
  const { defaults } = config;
  const own = config.projects.get(project);
  if (own === undefined) return { ...defaults, maxRunning: config.queue.maxRunning };
  return {
    ...defaults,
    timeoutMs: own.timeoutMs ?? defaults.timeoutMs,
    graceMs: own.graceMs ?? defaults.graceMs,
    logMaxBytes: own.logMaxBytes ?? defaults.logMaxBytes,
    limits: { ...defaults.limits, ...own.limits },
    env: { ...defaults.env, ...own.env },
    maxRunning: own.maxRunning ?? config.queue.maxRunning,
    ...(own.workdir === undefined ? {} : { workdir: own.workdir }),
  };
}
