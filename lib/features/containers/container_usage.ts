/**
 * Resource usage of a running container, read from its cgroup.
 *
 * The engine removes the cgroup with the container's last process. The figures are read now and
 * then, and at the very end where the kernel reports it (cgroup v2); a very short job has none.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { ContainerInfo } from "@lib/foundations/docker/engine_types.ts";
import { projectSliceName } from "@lib/foundations/systemd/unit_name.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";

/** The latest figures; absent if unreadable. */
export interface ContainerUsage {
  readonly memoryPeakBytes?: number | undefined;
  readonly cpuUsageUs?: number | undefined;
  readonly cpuThrottledUs?: number | undefined;
  /** Processes that the kernel killed when memory ran out; not every engine reports it. */
  readonly oomKills?: number | undefined;
}

/** Files that the kernel changes at a kill or at the last exit, before the cgroup is gone. */
const EVENT_FILES = ["cgroup.events", "memory.events"];

/** Shortest and longest time between two reads. */
const FIRST_MS = 25;
const LAST_MS = 2_000;

/** Mount points of cgroups, in search order. */
const V2_MOUNTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const V1_MOUNT = "/sys/fs/cgroup";

/** Reports a container's usage until `signal` aborts or its cgroup is gone. */
export async function watchUsage(
  { id, pid }: Pick<ContainerInfo, "id" | "pid">,
  { onUsage, clock, signal }: {
    readonly onUsage: (usage: ContainerUsage) => void;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const files = cgroupFiles(id, pid);
  if (files === undefined) return;
  using changes = files.events.length === 0 ? undefined : watchFiles(files.events);
  const events = changes?.[Symbol.asyncIterator]();
  // Without events: a promise that never settles.
  let change: Promise<unknown> = events?.next() ?? new Promise<never>(() => {});
  for (let ms = FIRST_MS; !signal.aborted; ms = Math.min(2 * ms, LAST_MS)) {
    const usage = files.read();
    if (usage === undefined) return;
    onUsage(usage);
    if (await sleepUnless(change, { ms, clock, signal })) change = events?.next() ?? change;
  }
}

/**
 * Counts the processes that the kernel killed in a project's slice when memory ran out, since the
 * slice was made. Unlike a container's group, the slice outlives the container.
 *
 * @returns `undefined` where this account's containers are not in the project's slice.
 */
export function readSliceOomKills(project: ProjectName): number | undefined {
  const own = readText("/proc/self/cgroup");
  const manager = /^0::(\/.*\/user@\d+\.service)\//m.exec(own ?? "")?.[1];
  if (manager === undefined) return undefined;
  return V2_MOUNTS
    .map((mount) => `${mount}${manager}/cicd.slice/${projectSliceName(project)}/memory.events`)
    .map((path) => line(readText(path), "oom_kill"))
    .find((kills) => kills !== undefined);
}

/**
 * Counts the processes that the kernel killed on this machine when memory ran out, since it booted.
 *
 * @returns `undefined` if the kernel does not tell.
 */
export function readMachineOomKills(): number | undefined {
  return line(readText("/proc/vmstat"), "oom_kill");
}

interface CgroupFiles {
  /** `undefined` once the cgroup is gone. */
  readonly read: () => ContainerUsage | undefined;
  readonly events: readonly string[];
}

/** Finds the files of a container's cgroup if its first process runs on this machine. */
function cgroupFiles(id: string, pid: number): CgroupFiles | undefined {
  // The pid may be that of another machine: the path must contain the container's id.
  const groups = (readText(`/proc/${pid}/cgroup`) ?? "").split("\n")
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, controllers = "", path = ""]) => ({ controllers: controllers.split(","), path }))
    .filter(({ path }) => path.includes(id));
  const unified = groups.find(({ controllers }) => controllers[0] === "")?.path;
  for (const directory of unified === undefined ? [] : directoriesV2(unified, id)) {
    if (readText(`${directory}/memory.peak`) === undefined) continue;
    return {
      read: () => readV2(directory),
      events: EVENT_FILES.map((name) => `${directory}/${name}`),
    };
  }
  const directoryOf = (controller: string) => {
    const path = groups.find(({ controllers }) => controllers.includes(controller))?.path;
    return path === undefined ? undefined : `${V1_MOUNT}/${controller}${path}`;
  };
  const [memory, cpuacct, cpu] = ["memory", "cpuacct", "cpu"].map(directoryOf);
  return memory === undefined && cpuacct === undefined
    ? undefined
    : { read: () => readV1(memory ?? "", cpuacct ?? "", cpu ?? ""), events: [] };
}

/** Returns the candidates for the container's cgroup; some runtimes nest another one in it. */
function directoriesV2(path: string, id: string): readonly string[] {
  const parts = path.split("/");
  const own = parts.findIndex((part) => part.includes(id));
  const above = parts.slice(0, own + 1).join("/");
  return V2_MOUNTS.map((mount) => `${mount}${above}`);
}

function readV2(directory: string): ContainerUsage | undefined {
  const peak = readText(`${directory}/memory.peak`);
  const stat = readText(`${directory}/cpu.stat`);
  if (peak === undefined && stat === undefined) return undefined;
  return {
    memoryPeakBytes: count(peak),
    cpuUsageUs: line(stat, "usage_usec"),
    cpuThrottledUs: line(stat, "throttled_usec"),
    oomKills: line(readText(`${directory}/memory.events`), "oom_kill"),
  };
}

function readV1(memory: string, cpuacct: string, cpu: string): ContainerUsage | undefined {
  const peak = readText(`${memory}/memory.max_usage_in_bytes`);
  const usedNs = count(readText(`${cpuacct}/cpuacct.usage`));
  if (peak === undefined && usedNs === undefined) return undefined;
  return {
    memoryPeakBytes: count(peak),
    cpuUsageUs: inUs(usedNs),
    cpuThrottledUs: inUs(line(readText(`${cpu}/cpu.stat`), "throttled_time")),
    oomKills: line(readText(`${memory}/memory.oom_control`), "oom_kill"),
  };
}

function inUs(ns: number | undefined): number | undefined {
  return ns === undefined ? undefined : Math.round(ns / 1_000);
}

function line(text: string | undefined, key: string): number | undefined {
  return count(new RegExp(`^${key} (\\d+)$`, "m").exec(text ?? "")?.[1]);
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,16}\n?$/.test(text) ? Number(text) : undefined;
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // Gone with the container, not in this kernel, or not readable: no figure.
    return undefined;
  }
}

function watchFiles(paths: readonly string[]): Deno.FsWatcher | undefined {
  try {
    return Deno.watchFs([...paths]);
  } catch {
    // Gone already, or out of watches: the timer must do.
    return undefined;
  }
}
