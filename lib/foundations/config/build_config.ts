/**
 * Makes the {@linkcode Config} of checked settings.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Key } from "@lib/foundations/config/key.ts";
import { KEYS } from "@lib/foundations/config/keys.ts";
import { PROJECT_KEYS } from "@lib/foundations/config/keys_project.ts";
import type {
  Config,
  ListenConfig,
  ProjectConfig,
  ResourceLimits,
  S3Config,
} from "@lib/foundations/config/schema.ts";
import { projectPath, type Settings } from "@lib/foundations/config/setting.ts";

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
      setupTimeoutMs: take(KEYS.defaultsSetupTimeout),
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
    containers: {
      ...present("host", maybe(KEYS.containersHost)),
      pull: take(KEYS.containersPull),
      network: take(KEYS.containersNetwork),
      images: take(KEYS.containersImages),
      tasks: take(KEYS.containersTasks),
    },
    git: {
      schemes: take(KEYS.gitSchemes),
      mirrors: take(KEYS.gitMirrors),
      ...present("knownHosts", maybe(KEYS.gitKnownHosts)),
    },
    artifacts: {
      maxBytes: take(KEYS.artifactsMaxBytes),
      maxFiles: take(KEYS.artifactsMaxFiles),
      ...present("s3", s3(take, maybe)),
    },
    caches: { maxBytes: take(KEYS.cachesMaxBytes), maxAgeMs: take(KEYS.cachesMaxAge) },
    listen: {
      ...present("address", maybe(KEYS.listenAddress)),
      ...present("tls", tls(maybe(KEYS.listenTlsCertificate), maybe(KEYS.listenTlsKey))),
      requestsPerMinute: take(KEYS.listenRate),
    },
    gryt: {
      project: take(KEYS.grytProject),
      ...present("apiKey", maybe(KEYS.grytApiKey)),
      ...present("encryptionKey", maybe(KEYS.grytEncryptionKey)),
      ...present("image", maybe(KEYS.grytImage)),
      ...present("envFile", maybe(KEYS.grytEnvFile)),
      timeoutMs: take(KEYS.grytTimeout),
      maxOutputBytes: take(KEYS.grytMaxOutput),
      callbacks: take(KEYS.grytCallbacks),
      ...present("pullUrl", maybe(KEYS.grytPullUrl)),
      ...present("agentUrls", maybe(KEYS.grytAgentUrls)),
    },
    clean: {
      imagesUnusedMs: take(KEYS.cleanImagesAge),
      imagesMaxBytes: take(KEYS.cleanImagesMax),
      mirrorsUnusedMs: take(KEYS.cleanMirrorsAge),
    },
    retention: {
      maxAgeMs: take(KEYS.retentionMaxAge),
      maxJobs: take(KEYS.retentionMaxJobs),
      maxBytes: take(KEYS.retentionMaxBytes),
      minFreeDiskBytes: take(KEYS.retentionMinFreeDisk),
      intervalMs: take(KEYS.retentionInterval),
    },
  };
}

type Take = <T>(key: Key<T>) => T;
type Maybe = <T>(key: Key<T>) => T | undefined;

/** All that an upload needs, or none of it. */
function s3(take: Take, maybe: Maybe): S3Config | undefined {
  const endpoint = maybe(KEYS.s3Endpoint);
  if (endpoint === undefined) return undefined;
  const needed = (key: Key<string>): string => {
    const value = maybe(key);
    if (value !== undefined) return value;
    throw incomplete(key.name, KEYS.s3Endpoint.name);
  };
  return {
    endpoint,
    bucket: needed(KEYS.s3Bucket),
    prefix: take(KEYS.s3Prefix),
    region: take(KEYS.s3Region),
    accessKey: needed(KEYS.s3AccessKey),
    secretKey: needed(KEYS.s3SecretKey),
  };
}

function tls(certificate: string | undefined, key: string | undefined): ListenConfig["tls"] {
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined) {
    throw incomplete(KEYS.listenTlsCertificate.name, KEYS.listenTlsKey.name);
  }
  if (key === undefined) throw incomplete(KEYS.listenTlsKey.name, KEYS.listenTlsCertificate.name);
  return { certificate, key };
}

function incomplete(name: string, given: string): CicdError {
  const message = `is missing; it is needed beside ${given}`;
  return new CicdError("invalid_config", `Cannot use the configuration: ${name} ${message}`, {
    issues: [{ path: name, message }],
  });
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
    containers: {
      allow: maybe(PROJECT_KEYS.allow) ?? [],
      mounts: maybe(PROJECT_KEYS.mounts) ?? [],
      networks: maybe(PROJECT_KEYS.networks) ?? [],
      ...present("images", maybe(PROJECT_KEYS.images)),
      ...present("network", maybe(PROJECT_KEYS.network)),
    },
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
