/**
 * The use of resources by cgroups: version 2, or version 1 where that is what there is.
 *
 * @module
 */
import type { MachineFiles } from "@lib/foundations/host/machine_files.ts";
import {
  parseCgroups,
  parseKeyed,
  parseNumber,
  parsePressure,
  type Pressure,
} from "@lib/foundations/host/proc_text.ts";
import { type Resource, RESOURCES } from "@lib/foundations/host/host_sample.ts";

/** The resources that a cgroup uses; `undefined`: its controller is not there. */
export interface CgroupUse {
  readonly cpuSeconds: number | undefined;
  readonly throttledSeconds: number | undefined;
  readonly memoryBytes: number | undefined;
  /** The smallest limit is not looked for: this is the cgroup's own. */
  readonly memoryLimitBytes: number | undefined;
  readonly tasks: number | undefined;
  readonly oomKills: number | undefined;
  readonly pressure: Readonly<Partial<Record<Resource, Pressure>>>;
}

/** The cgroups of this machine. */
export interface Cgroups {
  /** 0: there are none. Version 1 also where version 2 has no controllers. */
  readonly version: 0 | 1 | 2;
  /** Controllers of the machine. */
  readonly controllers: readonly string[];
  /** Controllers that limit the jobs of this account. */
  readonly delegated: readonly string[];
  /**
   * Measures a unit below the service manager of this process.
   *
   * @param path Such as `cicd.slice/cicd-web.slice`.
   * @returns `undefined` if there is no such cgroup.
   */
  readonly useOf: (path: string) => CgroupUse | undefined;
  /** Returns the names of the units in one; the names of its files too. */
  readonly namesIn: (path: string) => readonly string[];
}

/** Version 1 writes "no limit" as the largest multiple of a page. */
const NO_LIMIT = 2 ** 60;

/** Finds the cgroups that this process can see. */
export function findCgroups(files: MachineFiles): Cgroups {
  const { hierarchies } = parseCgroups(
    files.read("/proc/self/cgroup"),
    files.read("/proc/self/mountinfo"),
  );
  const unified = hierarchies.get("unified");
  const words = (text: string) => text.split(/\s+/).filter((word) => word !== "");
  const root = unified === undefined ? [] : words(
    files.read(`${unified.mount}/cgroup.controllers`),
  );
  const old = [...hierarchies.keys()].filter((name) => !/[=]/.test(name) && name !== "unified");
  const baseOf = (controller: string) => {
    const found = hierarchies.get(controller);
    return found === undefined ? undefined : found.mount + managerOf(found.path);
  };
  const base = baseOf("unified");
  const isOld = old.includes("memory") || old.includes("cpu");
  return {
    version: isOld ? 1 : unified === undefined ? 0 : 2,
    controllers: isOld ? old.toSorted() : root,
    // Version 1 is never delegated to an account: it would not be safe.
    delegated: base === undefined ? [] : words(files.read(`${base}/cgroup.controllers`)),
    namesIn(path) {
      const older = base ?? baseOf("name=systemd") ?? baseOf("memory");
      return older === undefined ? [] : files.list(`${older}/${path}`);
    },
    useOf(path) {
      const own = base === undefined ? undefined : useOfVersion2(files, `${base}/${path}`);
      // A machine with both has the controllers in version 1, and time and pressure in version 2.
      const older = isOld
        ? useOfVersion1(files, (controller) => join(baseOf(controller), path))
        : undefined;
      if (own === undefined || older === undefined) return own ?? older;
      return {
        cpuSeconds: own.cpuSeconds ?? older.cpuSeconds,
        throttledSeconds: own.throttledSeconds ?? older.throttledSeconds,
        memoryBytes: own.memoryBytes ?? older.memoryBytes,
        memoryLimitBytes: own.memoryLimitBytes ?? older.memoryLimitBytes,
        tasks: own.tasks ?? older.tasks,
        oomKills: own.oomKills ?? older.oomKills,
        pressure: own.pressure,
      };
    },
  };
}

/** Returns the cgroup of the service manager that started a process. */
function managerOf(path: string): string {
  const [user] = /^.*\/user@\d+\.service(?=\/|$)/.exec(path) ?? [];
  if (user !== undefined) return user;
  return path.replace(/\/(?:system|app|session|user|background)\.slice(?:\/.*)?$/, "")
    .replace(/\/$/, "");
}

function useOfVersion2(files: MachineFiles, path: string): CgroupUse | undefined {
  const cpu = files.read(`${path}/cpu.stat`);
  if (cpu === "") return undefined;
  const { usage_usec, throttled_usec } = parseKeyed(cpu);
  const { oom_kill } = parseKeyed(files.read(`${path}/memory.events`));
  const seconds = (micro: number | undefined) => micro === undefined ? undefined : micro / 1e6;
  const number = (name: string) => parseNumber(files.read(`${path}/${name}`));
  return {
    cpuSeconds: seconds(usage_usec),
    throttledSeconds: seconds(throttled_usec),
    memoryBytes: number("memory.current"),
    memoryLimitBytes: number("memory.max"),
    tasks: number("pids.current"),
    oomKills: oom_kill,
    pressure: Object.fromEntries(RESOURCES.flatMap((resource) => {
      const pressure = parsePressure(files.read(`${path}/${resource}.pressure`));
      return pressure === undefined ? [] : [[resource, pressure]];
    })),
  };
}

function useOfVersion1(
  files: MachineFiles,
  at: (controller: string) => string | undefined,
): CgroupUse | undefined {
  const read = (controller: string, name: string) => {
    const path = at(controller);
    return path === undefined ? "" : files.read(`${path}/${name}`);
  };
  const nanoseconds = parseNumber(read("cpuacct", "cpuacct.usage"));
  const memoryBytes = parseNumber(read("memory", "memory.usage_in_bytes"));
  const tasks = parseNumber(read("pids", "pids.current"));
  if ([nanoseconds, memoryBytes, tasks].every((each) => each === undefined)) return undefined;
  const limit = parseNumber(read("memory", "memory.limit_in_bytes"));
  const { throttled_time } = parseKeyed(read("cpu", "cpu.stat"));
  return {
    cpuSeconds: nanoseconds === undefined ? undefined : nanoseconds / 1e9,
    throttledSeconds: throttled_time === undefined ? undefined : throttled_time / 1e9,
    memoryBytes,
    memoryLimitBytes: limit === undefined || limit >= NO_LIMIT ? undefined : limit,
    tasks,
    oomKills: parseKeyed(read("memory", "memory.oom_control"))["oom_kill"],
    pressure: {},
  };
}

function join(base: string | undefined, path: string): string | undefined {
  return base === undefined ? undefined : `${base}/${path}`;
}
