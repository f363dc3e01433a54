/**
 * Makes the {@linkcode Config} of checked settings.
 *
 * @module
 */
import * as v from "valibot";
import type { ProjectName } from "@lib/core/ids.ts";
import { type Key, KEYS, PROJECT_KEYS } from "@lib/config/keys.ts";
import type { Config, ProjectConfig, ResourceLimits } from "@lib/config/schema.ts";
import { projectPath, type Settings } from "@lib/config/setting.ts";

/**
 * Reads every setting into its typed place.
 *
 * @throws {v.ValiError} If a setting was not checked before.
 */
export function buildConfig(settings: Settings, projects: Iterable<ProjectName>): Config {
  const take = <T>(key: Key<T>): T => v.parse(key.schema, settings.get(key.name)?.value);
  const maybe = <T>(key: Key<T>): T | undefined => settings.has(key.name) ? take(key) : undefined;
  return {
    socket: take(KEYS.socket),
    stateDir: take(KEYS.stateDir),
    runtimeDir: take(KEYS.runtimeDir),
    agents: take(KEYS.agents),
    executor: take(KEYS.executor),
    idleExitMs: take(KEYS.idleExit),
    agentIdleExitMs: take(KEYS.agentIdleExit),
    log: { level: take(KEYS.logLevel), format: take(KEYS.logFormat) },
    http: {
      maxBodyBytes: take(KEYS.httpMaxBody),
      maxHeaderBytes: take(KEYS.httpMaxHeader),
      maxConnections: take(KEYS.httpMaxConnections),
      bodyTimeoutMs: take(KEYS.httpBodyTimeout),
    },
    queue: {
      maxQueued: take(KEYS.queueMaxQueued),
      maxRunning: take(KEYS.queueMaxRunning),
      ageingMs: take(KEYS.queueAgeing),
    },
    defaults: {
      timeoutMs: take(KEYS.defaultsTimeout),
      graceMs: take(KEYS.defaultsGrace),
      shell: take(KEYS.defaultsShell),
      logMaxBytes: take(KEYS.defaultsLogMax),
      priority: take(KEYS.defaultsPriority),
      limits: limits(
        maybe(KEYS.defaultsCpu),
        maybe(KEYS.defaultsMemory),
        maybe(KEYS.defaultsTasks),
      ),
      env: take(KEYS.defaultsEnv),
      passEnv: take(KEYS.defaultsPassEnv),
    },
    projects: new Map(
      [...projects].map((project) => [project, buildProject(settings, project)]),
    ),
    retention: {
      maxAgeMs: take(KEYS.retentionMaxAge),
      maxJobs: take(KEYS.retentionMaxJobs),
      maxBytes: take(KEYS.retentionMaxBytes),
      minFreeDiskBytes: take(KEYS.retentionMinFreeDisk),
      intervalMs: take(KEYS.retentionInterval),
    },
  };
}

function buildProject(settings: Settings, project: ProjectName): ProjectConfig {
  const maybe = <T>(key: Key<T>): T | undefined => {
    const setting = settings.get(projectPath(project, key.name));
    return setting === undefined ? undefined : v.parse(key.schema, setting.value);
  };
  return {
    limits: limits(maybe(PROJECT_KEYS.cpu), maybe(PROJECT_KEYS.memory), maybe(PROJECT_KEYS.tasks)),
    env: maybe(PROJECT_KEYS.env) ?? {},
    ...present("maxRunning", maybe(PROJECT_KEYS.maxRunning)),
    ...present("timeoutMs", maybe(PROJECT_KEYS.timeout)),
    ...present("graceMs", maybe(PROJECT_KEYS.grace)),
    ...present("logMaxBytes", maybe(PROJECT_KEYS.logMax)),
    ...present("workdir", maybe(PROJECT_KEYS.workdir)),
  };
}

function limits(
  cpu: number | undefined,
  memoryBytes: number | undefined,
  tasks: number | undefined,
): ResourceLimits {
  return {
    ...present("cpu", cpu),
    ...present("memoryBytes", memoryBytes),
    ...present("tasks", tasks),
  };
}

function present<Name extends string, T>(
  name: Name,
  value: T | undefined,
): { readonly [name in Name]?: T } {
  const absent: { readonly [name in Name]?: T } = {};
  return value === undefined ? absent : { ...absent, [name]: value };
}
