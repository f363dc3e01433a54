/**
 * The answer about the machine.
 *
 * @module
 */
import * as v from "valibot";
import { DISK_USES } from "@lib/foundations/host/host_sample.ts";
import { added, count, jobId, project, time } from "@lib/api/answers.ts";

const amount = v.pipe(v.number(), v.minValue(0));
const maybe = v.nullable(amount);
const maybeCount = v.nullable(count);

/** The parts of the machine. */
const inventorySchema = v.object({
  os: v.object({
    distro: v.string(),
    release: v.string(),
    codename: v.string(),
    kernel: v.string(),
    arch: v.string(),
    hostname: v.string(),
  }),
  cpu: v.object({
    manufacturer: v.string(),
    brand: v.string(),
    speed_ghz: amount,
    cores: amount,
    physical_cores: amount,
    sockets: amount,
    virtualization: v.pipe(v.boolean(), v.description("It can run virtual machines")),
  }),
  system: v.object({ manufacturer: v.string(), model: v.string(), virtual: v.boolean() }),
});

const pressureSchema = v.nullable(v.object({
  some_avg10: amount,
  some_avg60: amount,
  some_avg300: amount,
  some_seconds: amount,
  full_avg10: amount,
  full_avg60: amount,
  full_avg300: amount,
  full_seconds: amount,
}));

const useEntries = {
  cpu_seconds: v.pipe(maybe, v.description("Processor time so far")),
  memory_bytes: maybeCount,
  memory_limit_bytes: maybeCount,
  tasks: maybeCount,
};

/** The machine at one moment. */
export const hostSchema = v.object({
  at: time,
  inventory: v.pipe(
    v.nullable(inventorySchema),
    v.description("null: left out, or not yet known; it is taken once per boot"),
  ),
  platform: added(v.pipe(
    v.nullable(v.object({
      provider: v.pipe(
        v.nullable(v.string()),
        v.description("Such as `fly`, `kubernetes`, `docker`; null: none that is known"),
      ),
      region: v.nullable(v.string()),
      distro: v.pipe(v.nullable(v.string()), v.description("`ID` of os-release")),
    })),
    v.description("Where the runner lives, as its environment and files tell; null: left out"),
  )),
  uptime_seconds: amount,
  load: v.pipe(v.array(amount), v.description("Over 1, 5 and 15 minutes")),
  cpu: v.pipe(
    v.nullable(v.object({
      count,
      busy_seconds: amount,
      idle_seconds: amount,
      iowait_seconds: amount,
      steal_seconds: amount,
    })),
    v.description(
      "Sums of all processors since the boot: the difference of two samples is a share",
    ),
  ),
  memory: v.object({
    total_bytes: count,
    available_bytes: count,
    swap_total_bytes: count,
    swap_free_bytes: count,
  }),
  disks: v.pipe(
    v.array(v.object({
      use: v.pipe(v.picklist(DISK_USES), v.description("By the runner")),
      path: v.string(),
      total_bytes: count,
      free_bytes: count,
      files: count,
      free_files: count,
    })),
    v.description("The file systems that the runner needs"),
  ),
  pressure: v.pipe(
    v.object({ cpu: pressureSchema, memory: pressureSchema, io: pressureSchema }),
    v.description("Stall times of the kernel (PSI): percent, and seconds since the boot"),
  ),
  cgroup: v.object({
    version: v.pipe(v.number(), v.description("0: none")),
    controllers: v.pipe(v.array(v.string()), v.description("Of the machine")),
    delegated: v.pipe(v.array(v.string()), v.description("Those that limit jobs of this account")),
  }),
  network: v.array(v.object({
    interface: v.string(),
    received_bytes: count,
    receive_errors: count,
    sent_bytes: count,
    send_errors: count,
  })),
  runner: v.object({ resident_bytes: count, cpu_seconds: maybe }),
  agents: v.pipe(
    v.array(v.object({ project, pid: count, resident_bytes: count, cpu_seconds: amount })),
    v.description("Agents that live"),
  ),
  projects: v.pipe(
    v.array(v.object({
      project,
      ...useEntries,
      throttled_seconds: maybe,
      oom_kills: v.pipe(maybeCount, v.description("By the kernel, since the slice was made")),
    })),
    v.description("Projects with a slice: what all their jobs use together"),
  ),
  jobs: v.pipe(
    v.array(v.object({
      id: jobId,
      project,
      attempt: count,
      ...useEntries,
      cpu_limit: v.pipe(maybe, v.description("In processors; null: none of its own")),
    })),
    v.description("Jobs at work; null: not measured, as for containers"),
  ),
});
