/**
 * The configuration as the programs use it: durations in milliseconds, sizes
 * in bytes, paths absolute.
 *
 * The keys it is read from are in `keys.ts`.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import type { CONTAINER_FREEDOMS } from "@lib/foundations/config/keys_project.ts";

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
  readonly containers: ContainersConfig;
  readonly git: GitConfig;
  readonly artifacts: ArtifactsConfig;
  readonly caches: CachesConfig;
  readonly listen: ListenConfig;
  readonly gryt: GrytConfig;
  readonly clean: CleanConfig;
  readonly retention: RetentionConfig;
}

/** Something that opens a container. */
export type ContainerFreedom = typeof CONTAINER_FREEDOMS[number];

/** The container engine, and what holds for every container. */
export interface ContainersConfig {
  /** Absent: looked for. */
  readonly host?: string;
  readonly pull: "always" | "missing" | "never";
  readonly network: string;
  /** Patterns; empty: every image. */
  readonly images: readonly string[];
  /** Processes and threads of a container whose job names no limit. */
  readonly tasks: number;
}

/** How repositories are reached. */
export interface GitConfig {
  readonly schemes: readonly ("https" | "http" | "ssh" | "file")[];
  readonly mirrors: boolean;
  readonly knownHosts?: string;
}

/** Bounds of artifacts, and where they go. */
export interface ArtifactsConfig {
  readonly maxBytes: number;
  readonly maxFiles: number;
  readonly s3?: S3Config;
}

/** S3-compatible storage; the keys are references to secrets. */
export interface S3Config {
  readonly endpoint: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Bounds of a project's caches. */
export interface CachesConfig {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

/** The TCP listener; without an address there is none. */
export interface ListenConfig {
  /** `HOST:PORT`, or a port on loopback. */
  readonly address?: string;
  readonly tls?: { readonly certificate: string; readonly key: string };
  readonly requestsPerMinute: number;
}

/** The Gryt-compatible API; keys are references to secrets, what is absent comes from `AGENT_*`. */
export interface GrytConfig {
  readonly project: string;
  readonly apiKey?: string;
  readonly encryptionKey?: string;
  readonly image?: string;
  readonly envFile?: string;
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
  readonly callbacks: readonly string[];
  readonly pullUrl?: string;
  readonly agentUrls?: readonly string[];
}

/** How long is kept what jobs left on the machine. */
export interface CleanConfig {
  readonly imagesUnusedMs: number;
  readonly imagesMaxBytes: number;
  readonly mirrorsUnusedMs: number;
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
  /** For what is done before a job begins. */
  readonly setupTimeoutMs: number;
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
  readonly containers: ProjectContainers;
}

/** What the containers of a project may be. */
export interface ProjectContainers {
  readonly allow: readonly ContainerFreedom[];
  /** Paths that may be mounted. */
  readonly mounts: readonly string[];
  /** Networks that may be joined, besides `none` and `bridge`. */
  readonly networks: readonly string[];
  readonly images?: readonly string[];
  readonly network?: string;
}

/** How much of the history is kept. */
export interface RetentionConfig {
  readonly maxAgeMs: number;
  readonly maxJobs: number;
  readonly maxBytes: number;
  readonly minFreeDiskBytes: number;
  readonly intervalMs: number;
}

/** What holds for the containers of one project. */
export interface ContainerRules {
  readonly allow: readonly ContainerFreedom[];
  readonly mounts: readonly string[];
  readonly networks: readonly string[];
  /** Patterns; empty: every image. */
  readonly images: readonly string[];
  readonly network: string;
  readonly pull: "always" | "missing" | "never";
  readonly tasks: number;
}

/** The rules for the containers of `project`: without a word in the file, all are closed. */
export function containerRules(config: Config, project: ProjectName): ContainerRules {
  const { images, network, pull, tasks } = config.containers;
  const own = config.projects.get(project)?.containers;
  return {
    allow: own?.allow ?? [],
    mounts: own?.mounts ?? [],
    networks: own?.networks ?? [],
    images: own?.images ?? images,
    network: own?.network ?? network,
    pull,
    tasks,
  };
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
