/**
 * Puts a look at the machine into the words of the API.
 *
 * @module
 */
import type * as v from "valibot";
import type { hostSchema } from "@lib/features/host/answers.ts";
import type { HostView } from "@lib/features/host/host_view.ts";
import type { CgroupUse } from "@lib/foundations/host/cgroups.ts";
import type { Inventory } from "@lib/foundations/host/inventory.ts";
import type { FoundPlatform } from "@lib/foundations/host/platform.ts";
import type { CpuSeconds, Pressure } from "@lib/foundations/host/proc_text.ts";

type HostAnswer = v.InferInput<typeof hostSchema>;

/** Makes the answer, without its time. */
export function toHostAnswer(
  { sample, cgroups, runner, agents, projects, jobs }: HostView,
  { inventory, platform }: {
    readonly inventory: Inventory | undefined;
    readonly platform: FoundPlatform | undefined;
  },
): Omit<HostAnswer, "at"> {
  const { cpu, memory, disks, pressure, network } = sample;
  return {
    inventory: inventory ?? null,
    platform: platform === undefined ? null : {
      provider: platform.provider ?? null,
      region: platform.region ?? null,
      distro: platform.distro ?? null,
    },
    uptime_seconds: sample.uptimeSeconds,
    load: [...sample.load],
    cpu: cpu === undefined ? null : { count: cpu.count, ...cpuAnswer(cpu.seconds) },
    memory: {
      total_bytes: memory.total,
      available_bytes: memory.available,
      swap_total_bytes: memory.swapTotal,
      swap_free_bytes: memory.swapFree,
    },
    disks: disks.map(({ use, path, totalBytes, freeBytes, files, freeFiles }) => ({
      use,
      path,
      total_bytes: totalBytes,
      free_bytes: freeBytes,
      files,
      free_files: freeFiles,
    })),
    pressure: {
      cpu: pressureAnswer(pressure.cpu),
      memory: pressureAnswer(pressure.memory),
      io: pressureAnswer(pressure.io),
    },
    cgroup: {
      version: cgroups.version,
      controllers: [...cgroups.controllers],
      delegated: [...cgroups.delegated],
    },
    network: network.map((each) => ({
      interface: each.name,
      received_bytes: each.receivedBytes,
      receive_errors: each.receiveErrors,
      sent_bytes: each.sentBytes,
      send_errors: each.sendErrors,
    })),
    runner: {
      resident_bytes: runner.residentBytes,
      cpu_seconds: runner.cpuSeconds ?? null,
    },
    agents: agents.map(({ project, pid, memoryBytes, cpuSeconds }) => ({
      project,
      pid,
      resident_bytes: memoryBytes,
      cpu_seconds: cpuSeconds,
    })),
    projects: projects.map((each) => ({
      project: each.project,
      ...useAnswer(each),
      memory_limit_bytes: each.memoryLimitBytes ?? null,
      throttled_seconds: each.throttledSeconds ?? null,
      oom_kills: each.oomKills ?? null,
    })),
    jobs: jobs.map(({ id, project, attempt, cpuLimit, memoryLimitBytes, use }) => ({
      id,
      project,
      attempt,
      ...useAnswer(use),
      memory_limit_bytes: memoryLimitBytes ?? null,
      cpu_limit: cpuLimit ?? null,
    })),
  };
}

/** The kernel counts the time of a processor that waits for a disk as idle. */
function cpuAnswer({ user, nice, system, idle, iowait, irq, softirq, steal }: CpuSeconds) {
  return {
    busy_seconds: user + nice + system + irq + softirq,
    idle_seconds: idle,
    iowait_seconds: iowait,
    steal_seconds: steal,
  };
}

function pressureAnswer(pressure: Pressure | undefined): HostAnswer["pressure"]["cpu"] {
  if (pressure === undefined) return null;
  return {
    some_avg10: pressure.some10,
    some_avg60: pressure.some60,
    some_avg300: pressure.some300,
    some_seconds: pressure.someSeconds,
    full_avg10: pressure.full10,
    full_avg60: pressure.full60,
    full_avg300: pressure.full300,
    full_seconds: pressure.fullSeconds,
  };
}

function useAnswer(
  { cpuSeconds, memoryBytes, tasks }: Partial<
    Pick<CgroupUse, "cpuSeconds" | "memoryBytes" | "tasks">
  >,
) {
  return {
    cpu_seconds: cpuSeconds ?? null,
    memory_bytes: memoryBytes ?? null,
    tasks: tasks ?? null,
  };
}
