/**
 * Finds out if the kernel killed processes of an ended container when memory ran out.
 *
 * The container's cgroup is gone by then, and the engine's state misses a kill of which the engine
 * learned after the end.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import type { ContainerInfo, EngineFacts } from "@lib/foundations/docker/engine_types.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import {
  readMachineOomKills,
  readSliceOomKills,
} from "@lib/features/containers/container_usage.ts";

/** Exit code of an engine for SIGKILL. */
const KILLED = 137;

/**
 * Longest time after the end in which an engine may still report a kill, by what is known of it.
 *
 * Short, since a job of another project can have processes killed all the time.
 */
const LATE_EVENT_MS = {
  /** The kernel has killed nothing since the start, unless the engine's is another one. */
  none: 500,
  unknown: 500,
  /** The kernel has killed something: this container's process or another. */
  some: 2_000,
} as const;

/** Out-of-memory kills so far; absent if unreadable. */
export interface OomKills {
  /** In the project's slice. */
  readonly slice: number | undefined;
  /** On this machine. */
  readonly machine: number | undefined;
}

/** Reads the counters, before the start and after the end of a container. */
export function readOomKills({ project }: Pick<AttemptRef, "project">): OomKills {
  return { slice: readSliceOomKills(project), machine: readMachineOomKills() };
}

/** The part of an engine that {@linkcode wasOutOfMemory} calls. */
export interface OomEngine extends Pick<Engine, "heardOutOfMemory"> {
  readonly address: Pick<Engine["address"], "kind">;
  facts(signal: AbortSignal): Promise<Pick<EngineFacts, "podman">>;
}

/** Options for {@linkcode wasOutOfMemory}. */
export interface OutOfMemoryOptions {
  /** The counters before the start; absent after a restart of the agent. */
  readonly before: OomKills | undefined;
  /** The counters now. */
  readonly after: OomKills;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Tells if the kernel killed a process of a container with a memory limit, however the container
 * ended.
 *
 * Docker keeps its events of a container. Podman has none of this kind: there the count of the
 * project's slice explains an exit with 137.
 */
export async function wasOutOfMemory(
  engine: OomEngine,
  { id, exitCode, finishedAt }: Pick<ContainerInfo, "id" | "exitCode" | "finishedAt">,
  { before, after, clock, signal }: OutOfMemoryOptions,
): Promise<boolean> {
  if (finishedAt === undefined) return false;
  if ((await engine.facts(signal)).podman) {
    return exitCode === KILLED && before?.slice !== undefined &&
      (after.slice ?? 0) > before.slice;
  }
  const kills = engine.address.kind === "unix"
    ? compare(before?.machine, after.machine)
    : "unknown";
  // What a job survived is not worth a longer wait.
  const latest = finishedAt + LATE_EVENT_MS[exitCode === 0 ? "unknown" : kills];
  // At a time in the past, the engine answers at once.
  const untilMs = kills === "none" ? Math.max(finishedAt, Math.min(clock.now(), latest)) : latest;
  return await engine.heardOutOfMemory(id, untilMs, signal);
}

function compare(
  before: number | undefined,
  after: number | undefined,
): keyof typeof LATE_EVENT_MS {
  if (before === undefined || after === undefined) return "unknown";
  return after > before ? "some" : "none";
}
