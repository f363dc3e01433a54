import assert from "node:assert/strict";
import { heartbeatFaults, metricsFaults } from "../../../support/console/sample_rules.ts";
import type { Fault } from "../../../support/console/verdict.ts";

const BEAT = { instance_id: "c1", timestamp: "2026-03-04T05:06:07Z", uptime_seconds: 12 };

const CPU = {
  usage_percent: 12.5,
  load_avg_1: 0.1,
  load_avg_5: 0.2,
  load_avg_15: 0.3,
  core_count: 2,
};
const MEMORY = {
  total_bytes: 8,
  used_bytes: 4,
  free_bytes: 4,
  cached_bytes: 1,
  usage_percent: 50,
  swap_total_bytes: 0,
  swap_used_bytes: 0,
};
const DISK = {
  mount_point: "/",
  device: "/dev/sda1",
  fs_type: "ext4",
  total_bytes: 10,
  used_bytes: 5,
  free_bytes: 5,
  usage_percent: 50,
};
const NETWORK = { bytes_sent: 1, bytes_recv: 2, packets_sent: 3, packets_recv: 4 };
const SAMPLE = {
  instance_id: "c1",
  timestamp: "2026-03-04T05:06:07.5+01:00",
  cpu: CPU,
  memory: MEMORY,
  disk: [DISK],
  network: NETWORK,
};

const harms = (faults: readonly Fault[]) => faults.map(({ harm }) => harm);

Deno.test("heartbeatFaults() accepts the fields of an agent, and what the console adds to them", () => {
  assert.deepEqual(heartbeatFaults(BEAT), []);
  assert.deepEqual(
    heartbeatFaults({
      ...BEAT,
      cpuPercent: 1.5,
      memoryUsed: 1,
      memoryTotal: 2,
      diskUsed: 3,
      diskTotal: 4,
      distro: "ubuntu",
      extensions: ["nodejs"],
    }),
    [],
  );
});

Deno.test("heartbeatFaults() names what loses a heartbeat, and what ends the console", () => {
  const lost: readonly Readonly<Record<string, unknown>>[] = [
    { uptime_seconds: 1.5 },
    { uptime_seconds: undefined },
    { timestamp: "yesterday" },
    { timestamp: 5 },
    { instance_id: undefined },
    { sindri_version: "1" },
    { cli_target: "x" },
    { extensions: [] },
  ];
  for (const change of lost) {
    assert.deepEqual(harms(heartbeatFaults({ ...BEAT, ...change })), ["lost"]);
  }
  assert.deepEqual(harms(heartbeatFaults(null)), ["crash"]);
  assert.deepEqual(harms(heartbeatFaults({ ...BEAT, memoryUsed: 1.5 })), ["crash"]);
});

Deno.test("metricsFaults() accepts a sample, also of a container without a disk", () => {
  assert.deepEqual(metricsFaults(SAMPLE), []);
  assert.deepEqual(metricsFaults({ ...SAMPLE, disk: null }), []);
  assert.deepEqual(metricsFaults({ ...SAMPLE, cpu: { ...CPU, per_core: [1, 2] } }), []);
});

Deno.test("metricsFaults() names what ends the console: no object, and fractions", () => {
  const crash: readonly unknown[] = [
    null,
    { ...SAMPLE, memory: { ...MEMORY, used_bytes: 4.5 } },
    { ...SAMPLE, memory: { ...MEMORY, swap_used_bytes: "0" } },
    { ...SAMPLE, disk: [{ ...DISK, free_bytes: 0.1 }] },
    { ...SAMPLE, disk: [null] },
    { ...SAMPLE, network: { ...NETWORK, packets_recv: undefined } },
  ];
  for (const payload of crash) {
    assert.deepEqual(harms(metricsFaults(payload)), ["crash"], JSON.stringify(payload));
  }
});

Deno.test("metricsFaults() names what is lost or counted twice", () => {
  const lost: readonly Readonly<Record<string, unknown>>[] = [
    { timestamp: "2026-03-04" },
    { instance_id: undefined },
    { cpu: { ...CPU, usage_percent: 101 } },
    { cpu: { ...CPU, core_count: 0 } },
    { cpu: { ...CPU, load_avg_5: "1" } },
    { cpu: undefined },
    { memory: undefined },
    { memory: { ...MEMORY, total_bytes: 0 } },
    { memory: { ...MEMORY, usage_percent: -1 } },
    { disk: undefined },
    { network: undefined },
  ];
  for (const change of lost) {
    assert.deepEqual(harms(metricsFaults({ ...SAMPLE, ...change })), ["lost"]);
  }
  assert.deepEqual(harms(metricsFaults({ ...SAMPLE, disk: [DISK, DISK] })), ["misread"]);
});
