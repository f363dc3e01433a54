/**
 * What a container uses, read from its cgroup while it lives.
 *
 * The engine removes the cgroup with the container's last process, and its figures with it. They
 * are looked at now and then, and at the very end where the kernel says that it has come (cgroup
 * v2); a job that is over at once has none.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { ContainerInfo } from "@lib/foundations/docker/engine_types.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";

/** What was seen last; a figure that could not be read is absent. */
export interface ContainerUsage {
  readonly memoryPeakBytes?: number;
  readonly cpuUsageUs?: number;
  readonly cpuThrottledUs?: number;
  /** Processes that the kernel killed for want of memory; not every engine tells. */
  readonly oomKills?: number;
}

/** Options for {@linkcode watchUsage}. */
export interface WatchUsageOptions {
  readonly onUsage: (usage: ContainerUsage) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Where the kernel's news are. It tells of a kill before the process, and so the cgroup, is gone. */
const NEWS = ["cgroup.events", "memory.events"];

/** The first look, and the rarest. */
const FIRST_MS = 25;
const LAST_MS = 2_000;

/** Where the kernel's cgroups are mounted, in the order of looking. */
const V2_MOUNTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const V1_MOUNT = "/sys/fs/cgroup";

/** Reports what a container uses until `signal` aborts or its cgroup is gone. */
export async function watchUsage(
  { id, pid }: Pick<ContainerInfo, "id" | "pid">,
  { onUsage, clock, signal }: WatchUsageOptions,
): Promise<void> {
  const files = cgroupFiles(id, pid);
  if (files === undefined) return;
  using changes = files.news.length === 0 ? undefined : watchFiles(files.news);
  const events = changes?.[Symbol.asyncIterator]();
  // Without news of the end: a promise that is never kept.
  let change: Promise<unknown> = events?.next() ?? new Promise<never>(() => {});
  for (let ms = FIRST_MS; !signal.aborted; ms = Math.min(2 * ms, LAST_MS)) {
    const usage = files.read();
    if (usage === undefined) return;
    onUsage(usage);
    if (await sleepUnless(change, { ms, clock, signal })) {
      change = events?.next() ?? change;
    }
  }
}

interface CgroupFiles {
  /** `undefined` once the cgroup is gone. */
  readonly read: () => ContainerUsage | undefined;
  /** Files that change when the last process has gone, or one was killed for want of memory. */
  readonly news: readonly string[];
}

/** The files of a container's cgroup, if its first process is one of this machine. */
function cgroupFiles(id: string, pid: number): CgroupFiles | undefined {
  // Of an engine on another machine the number says nothing here: the path must name the container.
  const groups = (readText(`/proc/${pid}/cgroup`) ?? "").split("\n")
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, controllers = "", path = ""]) => ({ controllers: controllers.split(","), path }))
    .filter(({ path }) => path.includes(id));
  const unified = groups.find(({ controllers }) => controllers[0] === "")?.path;
  for (const directory of unified === undefined ? [] : directoriesV2(unified, id)) {
    if (readText(`${directory}/memory.peak`) === undefined) continue;
    return { read: () => readV2(directory), news: NEWS.map((name) => `${directory}/${name}`) };
  }
  const directoryOf = (controller: string) => {
    const path = groups.find(({ controllers }) => controllers.includes(controller))?.path;
    return path === undefined ? undefined : `${V1_MOUNT}/${controller}${path}`;
  };
  const [memory, cpuacct, cpu] = [
    directoryOf("memory"),
    directoryOf("cpuacct"),
    directoryOf("cpu"),
  ];
  return memory === undefined && cpuacct === undefined
    ? undefined
    : { read: () => readV1(memory ?? "", cpuacct ?? "", cpu ?? ""), news: [] };
}

/** The container's directory; some runtimes have the processes in another one below it. */
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
  const oomKills = line(readText(`${directory}/memory.events`), "oom_kill");
  return {
    ...usageOf(count(peak), line(stat, "usage_usec"), line(stat, "throttled_usec")),
    ...(oomKills === undefined ? {} : { oomKills }),
  };
}

function readV1(memory: string, cpuacct: string, cpu: string): ContainerUsage | undefined {
  const peak = readText(`${memory}/memory.max_usage_in_bytes`);
  const usedNs = count(readText(`${cpuacct}/cpuacct.usage`));
  if (peak === undefined && usedNs === undefined) return undefined;
  const throttledNs = line(readText(`${cpu}/cpu.stat`), "throttled_time");
  return usageOf(count(peak), inUs(usedNs), inUs(throttledNs));
}

function usageOf(
  memoryPeakBytes: number | undefined,
  cpuUsageUs: number | undefined,
  cpuThrottledUs: number | undefined,
): ContainerUsage {
  return {
    ...(memoryPeakBytes === undefined ? {} : { memoryPeakBytes }),
    ...(cpuUsageUs === undefined ? {} : { cpuUsageUs }),
    ...(cpuThrottledUs === undefined ? {} : { cpuThrottledUs }),
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
    // Gone with the container, not there on this kernel, or not ours to read: no figure.
    return undefined;
  }
}

function watchFiles(paths: readonly string[]): Deno.FsWatcher | undefined {
  try {
    return Deno.watchFs([...paths]);
  } catch {
    // Gone already, or the account's watches are used up: the looks must do.
    return undefined;
  }
}
