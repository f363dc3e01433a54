/**
 * Figures of the machine in the console's words.
 *
 * A fraction where the console expects a count would end its process: sizes and counters are whole
 * numbers.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import type { Payload } from "@lib/features/console/wire.ts";

/** The kernel's texts, and the disks, of one moment. */
export interface HostReading {
  readonly at: number;
  readonly stat: string;
  readonly meminfo: string;
  readonly netDev: string;
  readonly load: readonly number[];
  readonly cores: number;
  readonly disks: readonly DiskReading[];
}

/** A file system. */
export interface DiskReading {
  readonly mountPoint: string;
  readonly device: string;
  readonly type: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
}

/** Makes the payload of `metrics`. @param before The reading that CPU use is measured from. */
export function metricsPayload(
  instanceId: string,
  now: HostReading,
  before: HostReading | undefined,
): Payload {
  const memory = memoryIn(now.meminfo);
  const [load1 = 0, load5 = 0, load15 = 0] = now.load;
  return {
    instance_id: instanceId,
    timestamp: toRfc3339(now.at),
    cpu: {
      usage_percent: cpuPercent(now, before),
      load_avg_1: load1,
      load_avg_5: load5,
      load_avg_15: load15,
      core_count: whole(now.cores),
    },
    memory: {
      total_bytes: memory.total,
      used_bytes: memory.used,
      free_bytes: memory.free,
      cached_bytes: memory.cached,
      usage_percent: percent(memory.used, memory.total),
      swap_total_bytes: memory.swapTotal,
      swap_used_bytes: memory.swapUsed,
    },
    disk: now.disks.length === 0 ? null : now.disks.map((disk) => ({
      mount_point: disk.mountPoint,
      device: disk.device,
      fs_type: disk.type,
      total_bytes: whole(disk.totalBytes),
      used_bytes: whole(disk.usedBytes),
      free_bytes: whole(disk.freeBytes),
      usage_percent: percent(disk.usedBytes, disk.usedBytes + disk.freeBytes),
    })),
    network: networkIn(now.netDev),
  };
}

/** Makes the payload of `heartbeat`. */
export function heartbeatPayload(
  { instanceId, at, uptimeMs, distro }: {
    readonly instanceId: string;
    readonly at: number;
    readonly uptimeMs: number;
    readonly distro: string | undefined;
  },
  now: HostReading | undefined,
  before: HostReading | undefined,
): Payload {
  const own = {
    instance_id: instanceId,
    timestamp: toRfc3339(at),
    uptime_seconds: whole(Math.floor(uptimeMs / 1_000)),
    ...(distro === undefined ? {} : { distro }),
  };
  if (now === undefined) return own;
  const memory = memoryIn(now.meminfo);
  const sum = (of: (disk: DiskReading) => number) =>
    whole(now.disks.reduce((total, disk) => total + of(disk), 0));
  return {
    ...own,
    cpuPercent: whole(cpuPercent(now, before)),
    memoryUsed: memory.used,
    memoryTotal: memory.total,
    diskUsed: sum(({ usedBytes }) => usedBytes),
    diskTotal: sum(({ totalBytes }) => totalBytes),
  };
}

/** Returns the busy share of all processors between two readings; without an earlier one since boot. */
function cpuPercent(now: HostReading, before: HostReading | undefined): number {
  const to = cpuTicks(now.stat);
  const from = before === undefined ? { busy: 0, total: 0 } : cpuTicks(before.stat);
  return percent(to.busy - from.busy, to.total - from.total);
}

/** Time in a virtual machine is part of `user` and `nice` already. */
function cpuTicks(stat: string): { readonly busy: number; readonly total: number } {
  const [line = ""] = stat.split("\n", 1);
  const ticks = /^cpu\s/.test(line) ? line.trim().split(/\s+/).slice(1, 9).map(Number) : [];
  const total = ticks.reduce((sum, each) => sum + each, 0);
  return { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total };
}

function memoryIn(meminfo: string) {
  const kib = (name: string) => {
    const [, value = "0"] = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(meminfo) ?? [];
    return whole(Number(value) * 1_024);
  };
  const total = kib("MemTotal");
  const swapTotal = kib("SwapTotal");
  return {
    total,
    used: Math.max(0, total - kib("MemAvailable")),
    free: kib("MemFree"),
    cached: kib("Cached") + kib("SReclaimable"),
    swapTotal,
    swapUsed: Math.max(0, swapTotal - kib("SwapFree")),
  };
}

/** Sums up all interfaces. */
function networkIn(netDev: string) {
  const sums = { bytes_sent: 0, bytes_recv: 0, packets_sent: 0, packets_recv: 0 };
  for (const line of netDev.split("\n")) {
    const [, rest] = /^\s*[^\s:]+:\s*(.*)$/.exec(line) ?? [];
    const fields = rest?.trim().split(/\s+/).map(Number) ?? [];
    if (fields.length < 10 || fields.some(Number.isNaN)) continue;
    sums.bytes_recv += fields[0] ?? 0;
    sums.packets_recv += fields[1] ?? 0;
    sums.bytes_sent += fields[8] ?? 0;
    sums.packets_sent += fields[9] ?? 0;
  }
  return sums;
}

function percent(part: number, all: number): number {
  return all > 0 ? Math.min(100, Math.max(0, Math.round(part / all * 10_000) / 100)) : 0;
}

function whole(value: number): number {
  return Number.isFinite(value)
    ? Math.min(Math.max(0, Math.round(value)), Number.MAX_SAFE_INTEGER)
    : 0;
}
