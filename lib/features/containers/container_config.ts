/**
 * The container of an attempt, without privileges unless the spec grants them.
 *
 * @module
 */
import type { ContainerBody, EngineFacts, HostBody } from "@lib/foundations/docker/engine_types.ts";
import { HOLDABLE_LABELS, jobLabels } from "@lib/features/containers/job_labels.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { ContainerSpec, JobSpec } from "@lib/spine/spec/job_spec.ts";
import { posixShellOf, scriptArgv } from "@lib/spine/spec/script.ts";
import { projectSliceName } from "@lib/foundations/systemd/unit_name.ts";
import {
  CONTAINER_HELD,
  CONTAINER_HOME,
  CONTAINER_SCRIPT,
  CONTAINER_WORKSPACE,
} from "@lib/features/containers/container_paths.ts";

/** Options for {@linkcode containerBody}. */
export interface ContainerConfigOptions {
  readonly facts: Pick<
    EngineFacts,
    "cpus" | "podman" | "rootless" | "cgroupDriver" | "logDrivers"
  >;
  /** Set: an init process runs before the job and forwards signals. */
  readonly init: boolean;
  /** The agent's account. */
  readonly account: { readonly uid: number; readonly gid: number };
  readonly stateDir: string;
  /** Default limit of processes and threads. */
  readonly tasks: number;
  /** Set: the container can be held, as its image has a shell. */
  readonly holdable?: { readonly entrypoint: readonly string[] } | undefined;
}

/** Returns the container's name, which is unique: the engine refuses a second one. */
export function jobContainerName({ jobId, number }: Pick<AttemptRef, "jobId" | "number">): string {
  return `cicd-job-${jobId}-${number}`;
}

/** Describes the container; the same attempt always gets the same one. */
export function containerBody(
  request: AttemptRequest,
  options: ContainerConfigOptions,
): ContainerBody {
  const { ref, spec, env, secrets } = request;
  const container = containerOf(spec);
  const { user } = containerUser(container, options);
  return {
    Image: container.image,
    ...programOf(spec, container, options),
    Env: Object.entries({ ...env, ...Object.fromEntries(secrets) })
      .map(([name, value]) => `${name}=${value}`),
    ...(user === undefined ? {} : { User: user }),
    WorkingDir: containerWorkdir(spec),
    Labels: {
      ...jobLabels(options.stateDir, {
        job: ref.jobId,
        project: ref.project,
        attempt: ref.number,
      }),
      ...(options.holdable === undefined ? {} : HOLDABLE_LABELS),
    },
    OpenStdin: false,
    Tty: false,
    HostConfig: hostBody(request, container, options),
  };
}

/** Returns the container of a spec that has one. */
export function containerOf({ container }: JobSpec): ContainerSpec {
  if (container === undefined) throw new TypeError("The job has no container");
  return container;
}

function containerWorkdir({ workdir = "" }: JobSpec): string {
  if (workdir === "" || workdir === ".") return CONTAINER_WORKSPACE;
  return workdir.startsWith("/") ? workdir : `${CONTAINER_WORKSPACE}/${workdir}`;
}

/**
 * Returns the user that makes the job's files belong to the account; the image's own user if absent,
 * as root owns everything.
 */
export function containerUser(
  { user }: ContainerSpec,
  { facts, account }: Pick<ContainerConfigOptions, "facts" | "account">,
): { readonly user?: string; readonly usernsMode?: string } {
  if (user !== undefined) return { user };
  const own = `${account.uid}:${account.gid}`;
  if (facts.rootless) {
    // Rootless Docker maps the account to root; Podman can keep its id.
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
    Mounts: mounts(request, container, options),
    ...(cpu === undefined ? {} : { NanoCpus: nanoCpus(cpu, facts.cpus) }),
    // The same limit for both: no swap.
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
    // The kernel's out-of-memory killer takes a job before the suite.
    OomScoreAdj: 500,
    // Only there the slice is the account's and has the project's limits.
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

/** An engine refuses more CPUs than it has; a unit accepts them. */
function nanoCpus(cpu: number, cpus: number): number {
  return Math.round((cpus > 0 ? Math.min(cpu, cpus) : cpu) * 1e9);
}

function mounts(
  { directory, spec }: AttemptRequest,
  container: ContainerSpec,
  { holdable }: ContainerConfigOptions,
): HostBody["Mounts"] {
  const bind = (Source: string, Target: string, ReadOnly: boolean) => (
    { Type: "bind", Source, Target, ReadOnly } as const
  );
  return [
    bind(directory.workspace, CONTAINER_WORKSPACE, false),
    bind(directory.home, CONTAINER_HOME, false),
    ...(spec.work.kind === "script" ? [bind(directory.scriptFile, CONTAINER_SCRIPT, true)] : []),
    ...(holdable === undefined ? [] : [bind(directory.heldFile, CONTAINER_HELD, true)]),
    ...container.mounts.map(({ source, target, readOnly }) => bind(source, target, readOnly)),
  ];
}

/** Name of a container that can be held, in the messages of its shell. */
export const HOLDER_NAME = "cicd-start";

/**
 * Becomes the job; at a second start, which is that of the hold, it waits instead, and ends in time
 * though no program of ours may live.
 */
const HOLDER = [
  "/bin/sh",
  "-c",
  `if [ -s ${CONTAINER_HELD} ]; then read -r seconds <${CONTAINER_HELD}; exec sleep "$seconds"; fi; ` +
  'exec "$@"',
  HOLDER_NAME,
];

function programOf(
  spec: JobSpec,
  { entrypoint }: ContainerSpec,
  { holdable }: ContainerConfigOptions,
): Pick<ContainerBody, "Entrypoint" | "Cmd"> {
  const argv = jobArgv(spec);
  if (holdable !== undefined) {
    const first = entrypoint === "job" ? [] : holdable.entrypoint;
    return { Entrypoint: [...HOLDER, ...first, ...argv], Cmd: [] };
  }
  return entrypoint === "job" ? { Entrypoint: argv, Cmd: [] } : { Cmd: argv };
}

/**
 * Merges the streams before the engine separates them and loses their order. Needs a shell, which
 * a script job has anyway.
 */
const ONE_STREAM = 'exec "$0" "$@" 2>&1';

function jobArgv({ work, output }: JobSpec): readonly string[] {
  if (work.kind === "command") return work.argv;
  const argv = scriptArgv(work, CONTAINER_SCRIPT);
  const shell = output === "merged" ? posixShellOf(work) : undefined;
  return shell === undefined ? argv : [...shell, "-c", ONE_STREAM, ...argv];
}

/** Output that the engine keeps beyond the cap before it drops the oldest. */
const LOG_SLACK_BYTES = 16 * 1024 * 1024;

/**
 * Bounds the output that the engine keeps for the agent; as raw bytes if it can. Short lines take a
 * multiple of their length there, hence the slack.
 */
function logConfig(drivers: readonly string[], logMaxBytes: number): HostBody["LogConfig"] {
  const maxSize = String(2 * logMaxBytes + LOG_SLACK_BYTES);
  if (drivers.includes("local")) {
    const Config = { "max-size": maxSize, "max-file": "2", compress: "false" };
    return { Type: "local", Config };
  }
  if (drivers.includes("k8s-file")) return { Type: "k8s-file", Config: { "max-size": maxSize } };
  return { Type: "json-file", Config: { "max-size": maxSize, "max-file": "2" } };
}
