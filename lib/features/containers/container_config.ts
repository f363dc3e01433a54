/**
 * The container of an attempt, closed unless the spec opens it.
 *
 * @module
 */
import type {
  ContainerBody,
  EngineFacts,
  HostBody,
  MountBody,
} from "@lib/foundations/docker/engine_types.ts";
import { jobLabels } from "@lib/features/containers/job_labels.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { ContainerSpec, JobSpec } from "@lib/spine/spec/job_spec.ts";
import { projectSliceName } from "@lib/foundations/systemd/unit_name.ts";
import {
  CONTAINER_HOME,
  CONTAINER_SCRIPT,
  CONTAINER_WORKSPACE,
} from "@lib/features/containers/container_paths.ts";

/** What the request does not say. */
export interface ContainerConfigOptions {
  readonly facts: Pick<
    EngineFacts,
    "cpus" | "podman" | "rootless" | "cgroupDriver" | "logDrivers"
  >;
  /** Whether a small first process is put before the job, which hands signals on. */
  readonly init: boolean;
  /** The account that the agent runs as. */
  readonly account: { readonly uid: number; readonly gid: number };
  readonly stateDir: string;
  /** Processes and threads of a container whose job names no limit. */
  readonly tasks: number;
}

/** The container of one attempt; its name is the key that refuses a second one. */
export function jobContainerName({ jobId, number }: Pick<AttemptRef, "jobId" | "number">): string {
  return `cicd-job-${jobId}-${number}`;
}

/**
 * Describes the container; the same attempt always gets the same one.
 *
 * The kernel's out-of-memory killer takes a job before the suite.
 */
export function containerBody(
  request: AttemptRequest,
  options: ContainerConfigOptions,
): ContainerBody {
  const { ref, spec, env, secrets } = request;
  const container = containerOf(spec);
  const { user } = containerUser(container, options);
  const argv = jobArgv(spec);
  return {
    Image: container.image,
    ...(container.entrypoint === "job" ? { Entrypoint: argv, Cmd: [] } : { Cmd: argv }),
    Env: Object.entries({ ...env, ...Object.fromEntries(secrets) })
      .map(([name, value]) => `${name}=${value}`),
    ...(user === undefined ? {} : { User: user }),
    WorkingDir: containerWorkdir(spec),
    Labels: jobLabels(options.stateDir, {
      job: ref.jobId,
      project: ref.project,
      attempt: ref.number,
    }),
    OpenStdin: false,
    Tty: false,
    HostConfig: hostBody(request, container, options),
  };
}

/** The container of a spec that has one. */
export function containerOf({ container }: JobSpec): ContainerSpec {
  if (container === undefined) throw new TypeError("The job runs in no container");
  return container;
}

/** Where the job starts, in its container. */
function containerWorkdir({ workdir }: JobSpec): string {
  if (workdir === undefined || workdir === "" || workdir === ".") return CONTAINER_WORKSPACE;
  return workdir.startsWith("/") ? workdir : `${CONTAINER_WORKSPACE}/${workdir}`;
}

/**
 * Who the job is, so that what it writes belongs to the account.
 *
 * Without `user` it is the image's own: for root everything belongs to the account.
 */
export function containerUser(
  { user }: ContainerSpec,
  { facts, account }: Pick<ContainerConfigOptions, "facts" | "account">,
): { readonly user?: string; readonly usernsMode?: string } {
  if (user !== undefined) return { user };
  const own = `${account.uid}:${account.gid}`;
  if (facts.rootless) {
    // To a rootless Docker the account is root; Podman can leave it itself.
    return facts.podman ? { user: own, usernsMode: "keep-id" } : { user: "0:0" };
  }
  return account.uid === 0 ? {} : { user: own };
}

function hostBody(
  request: AttemptRequest,
  container: ContainerSpec,
  options: ContainerConfigOptions,
): HostBody {
  const { spec, ref } = request;
  const { cpu, memoryBytes, tasks, diskBytes } = spec.limits;
  const { facts, init } = options;
  const { usernsMode } = containerUser(container, options);
  return {
    NetworkMode: container.network,
    Mounts: mounts(request, container),
    ...(cpu === undefined ? {} : { NanoCpus: nanoCpus(cpu, facts.cpus) }),
    // The same figure for both: no swap.
    ...(memoryBytes === undefined ? {} : { Memory: memoryBytes, MemorySwap: memoryBytes }),
    PidsLimit: tasks ?? options.tasks,
    ...(diskBytes === undefined ? {} : { StorageOpt: { size: String(diskBytes) } }),
    ...(container.shmBytes === undefined ? {} : { ShmSize: container.shmBytes }),
    Ulimits: Object.entries(container.ulimits)
      .map(([Name, value]) => ({ Name, Soft: value, Hard: value })),
    Privileged: container.privileged,
    CapDrop: container.privileged ? [] : ["ALL"],
    CapAdd: container.capabilities.map((name) => name.replace(/^CAP_/, "")),
    SecurityOpt: container.privileged ? [] : ["no-new-privileges"],
    OomScoreAdj: 500,
    // Only there the slice is the account's, with the project's limits on it.
    ...(facts.rootless && facts.cgroupDriver === "systemd"
      ? { CgroupParent: projectSliceName(ref.project) }
      : {}),
    ...(usernsMode === undefined ? {} : { UsernsMode: usernsMode }),
    ...(init ? { Init: true } : {}),
    LogConfig: logConfig(facts.logDrivers, spec.logMaxBytes),
    RestartPolicy: { Name: "no" },
    AutoRemove: false,
  };
}

/** An engine refuses more than there are, where a unit is just not held back. */
function nanoCpus(cpu: number, cpus: number): number {
  return Math.round((cpus > 0 ? Math.min(cpu, cpus) : cpu) * 1e9);
}

function mounts(
  { directory, spec }: AttemptRequest,
  container: ContainerSpec,
): readonly MountBody[] {
  const bind = (Source: string, Target: string, ReadOnly: boolean): MountBody => ({
    Type: "bind",
    Source,
    Target,
    ReadOnly,
  });
  return [
    bind(directory.workspace, CONTAINER_WORKSPACE, false),
    bind(directory.home, CONTAINER_HOME, false),
    ...(spec.work.kind === "script" ? [bind(directory.scriptFile, CONTAINER_SCRIPT, true)] : []),
    ...container.mounts.map(({ source, target, readOnly }) => bind(source, target, readOnly)),
  ];
}

/** Shells that understand {@linkcode ONE_STREAM}. */
const POSIX_SHELLS = /(^|\/)(sh|ash|bash|dash|ksh|mksh|zsh)$/;

/**
 * Joins the streams before the engine sees them: it carries each by itself, so that their order
 * would be lost. It needs a shell, which a script job has anyway.
 */
const ONE_STREAM = 'exec "$0" "$@" 2>&1';

function jobArgv({ work, output }: JobSpec): readonly string[] {
  if (work.kind === "command") return work.argv;
  const argv = [work.shell, CONTAINER_SCRIPT];
  return output === "merged" && POSIX_SHELLS.test(work.shell)
    ? [work.shell, "-c", ONE_STREAM, ...argv]
    : argv;
}

/** What the engine keeps beyond the cap before it begins to forget the oldest. */
const LOG_SLACK_BYTES = 16 * 1024 * 1024;

/**
 * Where the engine keeps the output until the agent has it: in bytes as they are where it can, and
 * bounded. Short lines cost a multiple of their length there, which the slack pays for.
 */
function logConfig(
  drivers: readonly string[],
  logMaxBytes: number,
): HostBody["LogConfig"] {
  const maxSize = String(2 * logMaxBytes + LOG_SLACK_BYTES);
  if (drivers.includes("local")) {
    const Config = { "max-size": maxSize, "max-file": "2", compress: "false" };
    return { Type: "local", Config };
  }
  if (drivers.includes("k8s-file")) return { Type: "k8s-file", Config: { "max-size": maxSize } };
  return { Type: "json-file", Config: { "max-size": maxSize, "max-file": "2" } };
}
