/**
 * Makes a frame of `top` from two looks at the machine.
 *
 * @module
 */
import type { JobAnswer, ProjectAnswer } from "@lib/api/client/jobs.ts";
import type { HostAnswer, QueueOverview } from "@lib/features/host/client.ts";

/** All that is asked for a frame. */
export interface TopLoad {
  readonly host: HostAnswer;
  readonly queue: QueueOverview;
  readonly projects: readonly ProjectAnswer[];
  /** Starting and running, newest first. */
  readonly working: readonly JobAnswer[];
  /** Queued, newest first. */
  readonly queued: readonly JobAnswer[];
}

/** A frame; shares are from 0 to 1, processors a number of them; null: not measured. */
export interface TopFrame {
  readonly at: string;
  readonly host: {
    readonly uptime_seconds: number;
    readonly load: readonly number[];
    readonly cpus: number | null;
    readonly cpu: number | null;
    readonly steal: number | null;
    readonly memory: number;
    readonly memory_used_bytes: number;
    readonly memory_total_bytes: number;
    readonly swap_used_bytes: number;
    readonly swap_total_bytes: number;
    readonly disks: HostAnswer["disks"];
    readonly pressure: HostAnswer["pressure"];
    readonly received_bytes_per_second: number | null;
    readonly sent_bytes_per_second: number | null;
  };
  readonly queue: QueueOverview;
  readonly projects: readonly {
    readonly project: string;
    readonly running: number;
    readonly queued: number;
    readonly max_running: number;
    readonly mode: string;
    readonly cpus: number | null;
    readonly memory_bytes: number | null;
    readonly memory_limit_bytes: number | null;
    readonly tasks: number | null;
    readonly oom_kills: number | null;
  }[];
  readonly jobs: readonly {
    readonly id: string;
    readonly project: string;
    readonly state: string;
    readonly cpus: number | null;
    readonly cpu_limit: number | null;
    readonly memory_bytes: number | null;
    readonly memory_limit_bytes: number | null;
    readonly tasks: number | null;
  }[];
}

/** Makes the frame. @param before The look before; without one, there are no rates. */
export function makeFrame(
  { host, queue, projects, working }: TopLoad,
  before: HostAnswer | undefined,
): TopFrame {
  const seconds = before === undefined ? 0 : (Date.parse(host.at) - Date.parse(before.at)) / 1_000;
  const rate = (now: number | null | undefined, then: number | null | undefined) =>
    typeof now === "number" && typeof then === "number" && seconds > 0 && now >= then
      ? (now - then) / seconds
      : null;
  const bytes = (of: HostAnswer | undefined, name: "received_bytes" | "sent_bytes") =>
    of?.network.reduce((sum, each) => sum + each[name], 0);
  const { memory } = host;
  const used = memory.total_bytes - memory.available_bytes;
  return {
    at: host.at,
    host: {
      uptime_seconds: host.uptime_seconds,
      load: host.load,
      cpus: host.cpu?.count ?? null,
      ...shares(host, before),
      memory: memory.total_bytes === 0 ? 0 : used / memory.total_bytes,
      memory_used_bytes: used,
      memory_total_bytes: memory.total_bytes,
      swap_used_bytes: memory.swap_total_bytes - memory.swap_free_bytes,
      swap_total_bytes: memory.swap_total_bytes,
      disks: host.disks,
      pressure: host.pressure,
      received_bytes_per_second: rate(
        bytes(host, "received_bytes"),
        bytes(before, "received_bytes"),
      ),
      sent_bytes_per_second: rate(bytes(host, "sent_bytes"), bytes(before, "sent_bytes")),
    },
    queue: {
      version: queue.version,
      mode: queue.mode,
      queued: queue.queued,
      in_flight: queue.in_flight,
      max_running: queue.max_running,
      ready: queue.ready,
      reasons: queue.reasons,
    },
    projects: projects.map(({ project, in_flight, queued, max_running, mode }) => {
      const of = (each: HostAnswer | undefined) =>
        each?.projects.find((one) => one.project === project);
      const use = of(host);
      return {
        project,
        running: in_flight,
        queued,
        max_running,
        mode,
        cpus: rate(use?.cpu_seconds, of(before)?.cpu_seconds),
        memory_bytes: use?.memory_bytes ?? null,
        memory_limit_bytes: use?.memory_limit_bytes ?? null,
        tasks: use?.tasks ?? null,
        oom_kills: use?.oom_kills ?? null,
      };
    }),
    jobs: working.map(({ id, project, state, attempt }) => {
      const of = (each: HostAnswer | undefined) =>
        each?.jobs.find((one) => one.id === id && one.attempt === attempt);
      const use = of(host);
      return {
        id,
        project,
        state,
        cpus: rate(use?.cpu_seconds, of(before)?.cpu_seconds),
        cpu_limit: use?.cpu_limit ?? null,
        memory_bytes: use?.memory_bytes ?? null,
        memory_limit_bytes: use?.memory_limit_bytes ?? null,
        tasks: use?.tasks ?? null,
      };
    }),
  };
}

function shares(
  { cpu: now }: HostAnswer,
  before: HostAnswer | undefined,
): Pick<TopFrame["host"], "cpu" | "steal"> {
  const then = before?.cpu;
  if (now === null || then === null || then === undefined) return { cpu: null, steal: null };
  const busy = now.busy_seconds - then.busy_seconds;
  const steal = now.steal_seconds - then.steal_seconds;
  const idle = now.idle_seconds - then.idle_seconds + now.iowait_seconds - then.iowait_seconds;
  const all = busy + steal + idle;
  // The kernel's counters of waiting may go back a little.
  const share = (part: number) => all > 0 ? Math.min(1, Math.max(0, part / all)) : null;
  return { cpu: share(busy), steal: share(steal) };
}
