/**
 * From a checked request to the spec of a job, with every default filled in.
 *
 * @module
 */
import type {
  ArtifactSpec,
  CacheSpec,
  ContainerSpec,
  GitSpec,
  JobLimits,
  JobSpec,
  PullPolicy,
  WorkspaceFile,
} from "@lib/spine/jobs/model.ts";
import type { JobRules } from "@lib/spine/spec/job_policy.ts";
import type { JobRequest } from "@lib/spine/spec/job_request_schema.ts";

/** What a request leaves open, per project. */
export interface RequestDefaults {
  readonly shell: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: JobLimits;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly priority: number;
  readonly logMaxBytes: number;
  readonly workdir?: string;
  readonly pull: PullPolicy;
  readonly network: string;
  /** What is allowed. */
  readonly rules: JobRules;
}

/** Fills in what a request leaves open. */
export function toSpec(request: JobRequest, defaults: RequestDefaults): JobSpec {
  const workdir = request.workdir ?? defaults.workdir;
  return {
    project: request.project,
    work: request.command !== undefined
      ? { kind: "command", argv: request.command }
      : { kind: "script", text: request.script ?? "", shell: request.shell ?? defaults.shell },
    env: { ...defaults.env, ...request.env },
    secretNames: Object.keys(request.secrets ?? {}),
    limits: limitsOf(request, defaults),
    timeoutMs: request.timeout ?? defaults.timeoutMs,
    graceMs: request.grace ?? defaults.graceMs,
    priority: request.priority ?? defaults.priority,
    cancelInProgress: request.cancel_in_progress ?? false,
    retries: {
      max: request.retries?.max ?? 0,
      on: request.retries?.on ?? ["failed", "timed_out", "lost"],
      delayMs: request.retries?.delay ?? 0,
    },
    output: request.output ?? "merged",
    logMaxBytes: request.log_max ?? defaults.logMaxBytes,
    labels: request.labels ?? {},
    ...(workdir === undefined ? {} : { workdir }),
    ...(request.concurrency_group === undefined
      ? {}
      : { concurrencyGroup: request.concurrency_group }),
    ...(request.image === undefined
      ? {}
      : { container: containerOf(request, request.image, defaults) }),
    ...(request.git === undefined ? {} : { git: gitOf(request.git) }),
    ...(request.files === undefined ? {} : { files: filesOf(request.files) }),
    ...(request.artifacts === undefined ? {} : { artifacts: artifactsOf(request.artifacts) }),
    ...(request.caches === undefined ? {} : { caches: cachesOf(request.caches) }),
  };
}

function limitsOf({ limits = {} }: JobRequest, defaults: RequestDefaults): JobLimits {
  const { memory, disk, ...same } = limits;
  return {
    ...defaults.limits,
    ...same,
    ...(memory === undefined ? {} : { memoryBytes: memory }),
    ...(disk === undefined ? {} : { diskBytes: disk }),
  };
}

function containerOf(
  { pull, network, container = {} }: JobRequest,
  image: string,
  defaults: RequestDefaults,
): ContainerSpec {
  const { user, registry, shm_size } = container;
  return {
    image,
    pull: pull ?? defaults.pull,
    network: network ?? defaults.network,
    entrypoint: container.entrypoint ?? "job",
    mounts: (container.mounts ?? []).map(({ source, target, read_only }) => ({
      source,
      target,
      readOnly: read_only ?? true,
    })),
    capabilities: container.capabilities ?? [],
    privileged: container.privileged ?? false,
    ulimits: container.ulimits ?? {},
    ...(user === undefined ? {} : { user }),
    ...(registry === undefined ? {} : {
      registry: { username: registry.username, passwordSecret: registry.password_secret },
    }),
    ...(shm_size === undefined ? {} : { shmBytes: shm_size }),
  };
}

function gitOf(git: NonNullable<JobRequest["git"]>): GitSpec {
  return {
    url: git.url,
    depth: git.depth ?? 1,
    submodules: git.submodules ?? false,
    lfs: git.lfs ?? false,
    path: git.path ?? ".",
    ...(git.ref === undefined ? {} : { ref: git.ref }),
    ...(git.sha === undefined ? {} : { sha: git.sha }),
    ...(git.token_secret === undefined ? {} : { tokenSecret: git.token_secret }),
  };
}

function filesOf(files: NonNullable<JobRequest["files"]>): readonly WorkspaceFile[] {
  return Object.entries(files).map(([path, content]) =>
    typeof content === "string"
      ? { path, content: toBase64(content), executable: false }
      : { path, content: content.base64, executable: content.executable ?? false }
  );
}

function toBase64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

function artifactsOf(artifacts: NonNullable<JobRequest["artifacts"]>): ArtifactSpec {
  return "paths" in artifacts
    ? { paths: artifacts.paths, when: artifacts.when ?? "success" }
    : { paths: artifacts, when: "success" };
}

function cachesOf(caches: NonNullable<JobRequest["caches"]>): readonly CacheSpec[] {
  return caches.map(({ name, paths, key_files }) => ({ name, paths, keyFiles: key_files ?? [] }));
}
