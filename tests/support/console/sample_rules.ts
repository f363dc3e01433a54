/**
 * The console's reading of heartbeats and metrics.
 *
 * @module
 */
import {
  type Fault,
  fault,
  integerFaults,
  isRfc3339,
  type Json,
  readRecord,
  textFaults,
} from "./verdict.ts";

/** Returns what is wrong with the payload of a heartbeat. */
export function heartbeatFaults(payload: unknown): Fault[] {
  const beat = readRecord(payload);
  if (beat === undefined) return [fault("crash", "heartbeat: the payload is no object")];
  const faults = textFaults("lost", "heartbeat", beat, ["instance_id"]);
  if (!isRfc3339(beat["timestamp"])) faults.push(fault("lost", "heartbeat.timestamp is no time"));
  const uptime = beat["uptime_seconds"] ?? beat["uptime"];
  if (!isCount(uptime)) faults.push(fault("lost", `heartbeat.uptime_seconds: ${uptime}`));
  const sizes = ["memoryUsed", "memoryTotal", "diskUsed", "diskTotal"];
  faults.push(...integerFaults("heartbeat", beat, sizes.filter((name) => name in beat)));
  for (const name of ["sindri_version", "cli_target"]) {
    if (name in beat) faults.push(fault("lost", `heartbeat.${name}: no such column`));
  }
  return [...faults, ...extensionFaults(beat)];
}

function extensionFaults({ distro, extensions }: Json): Fault[] {
  const faults: Fault[] = [];
  if (distro !== undefined && typeof distro !== "string") {
    faults.push(fault("lost", "heartbeat.distro is no text"));
  }
  if (extensions === undefined) return faults;
  const isRight = Array.isArray(extensions) && extensions.length > 0 &&
    extensions.every((name) => typeof name === "string");
  return isRight ? faults : [...faults, fault("lost", "heartbeat.extensions: texts, at least one")];
}

/** Returns what is wrong with the payload of metrics. */
export function metricsFaults(payload: unknown): Fault[] {
  const sample = readRecord(payload);
  if (sample === undefined) return [fault("crash", "metrics: the payload is no object")];
  const faults = textFaults("lost", "metrics", sample, ["instance_id"]);
  if (!isRfc3339(sample["timestamp"])) {
    faults.push(fault("lost", "metrics.timestamp is no time: the whole batch is lost"));
  }
  return [
    ...faults,
    ...cpuFaults(readRecord(sample["cpu"])),
    ...memoryFaults(readRecord(sample["memory"])),
    ...diskFaults(sample["disk"]),
    ...networkFaults(readRecord(sample["network"])),
  ];
}

function cpuFaults(cpu: Json | undefined): Fault[] {
  if (cpu === undefined) return [fault("lost", "metrics.cpu is no object")];
  const faults = percentFaults("metrics.cpu", cpu);
  for (const name of ["load_avg_1", "load_avg_5", "load_avg_15"]) {
    const load = cpu[name];
    if (typeof load !== "number" || load < 0) faults.push(fault("lost", `metrics.cpu.${name}`));
  }
  if (!isCount(cpu["core_count"]) || cpu["core_count"] === 0) {
    faults.push(fault("lost", "metrics.cpu.core_count"));
  }
  return faults;
}

function memoryFaults(memory: Json | undefined): Fault[] {
  if (memory === undefined) return [fault("lost", "metrics.memory is no object")];
  const faults = integerFaults("metrics.memory", memory, [
    "total_bytes",
    "used_bytes",
    "free_bytes",
    "cached_bytes",
    "swap_total_bytes",
    "swap_used_bytes",
  ]);
  if (memory["total_bytes"] === 0) faults.push(fault("lost", "metrics.memory.total_bytes is 0"));
  return [...faults, ...percentFaults("metrics.memory", memory)];
}

function diskFaults(disk: unknown): Fault[] {
  if (disk === null) return [];
  if (!Array.isArray(disk)) return [fault("lost", "metrics.disk is neither null nor a list")];
  const faults: Fault[] = [];
  const devices = new Set<unknown>();
  for (const entry of disk) {
    const record = readRecord(entry);
    if (record === undefined) {
      faults.push(fault("crash", "metrics.disk has an entry that is no object"));
      continue;
    }
    const sizes = ["total_bytes", "used_bytes", "free_bytes"];
    faults.push(
      ...textFaults("lost", "metrics.disk", record, ["mount_point", "device", "fs_type"]),
    );
    faults.push(...integerFaults("metrics.disk", record, sizes));
    faults.push(...percentFaults("metrics.disk", record));
    if (devices.has(record["device"])) {
      faults.push(fault("misread", `metrics.disk: ${record["device"]} counts twice in the sum`));
    }
    devices.add(record["device"]);
  }
  return faults;
}

function networkFaults(network: Json | undefined): Fault[] {
  if (network === undefined) return [fault("lost", "metrics.network is no object")];
  const counters = ["bytes_sent", "bytes_recv", "packets_sent", "packets_recv"];
  return integerFaults("metrics.network", network, counters);
}

function percentFaults(where: string, record: Json): Fault[] {
  const percent = record["usage_percent"];
  if (typeof percent === "number" && percent >= 0 && percent <= 100) return [];
  return [fault("lost", `${where}.usage_percent: ${JSON.stringify(percent)}`)];
}

function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
