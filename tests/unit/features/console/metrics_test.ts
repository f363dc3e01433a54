import assert from "node:assert/strict";
import { mountsIn } from "@lib/features/console/mounts.ts";
import { heartbeatPayload, metricsPayload } from "@lib/features/console/metrics.ts";
import { reading } from "./link_fixture.ts";

Deno.test("metricsPayload() has the console's fields, of which sizes are whole numbers", () => {
  const { timestamp, ...payload } = metricsPayload("i1", reading(100), reading(0));
  assert.equal(timestamp, "1970-01-01T00:00:00.100Z");
  assert.deepEqual(payload, {
    instance_id: "i1",
    cpu: {
      usage_percent: 50,
      load_avg_1: 0.5,
      load_avg_5: 0.25,
      load_avg_15: 0.125,
      core_count: 2,
    },
    memory: {
      total_bytes: 1_024_000,
      used_bytes: 614_400,
      free_bytes: 204_800,
      cached_bytes: 153_600,
      usage_percent: 60,
      swap_total_bytes: 512_000,
      swap_used_bytes: 204_800,
    },
    disk: [{
      mount_point: "/",
      device: "/dev/vda",
      fs_type: "ext4",
      total_bytes: 1_001,
      used_bytes: 250,
      free_bytes: 750,
      usage_percent: 25.01,
    }],
    network: { bytes_sent: 21, bytes_recv: 11, packets_sent: 3, packets_recv: 2 },
  });
});

Deno.test("metricsPayload() has no number that is not finite, whatever the kernel says", () => {
  const nothing = { ...reading(0), stat: "", meminfo: "", netDev: "x", load: [], disks: [] };
  const text = JSON.stringify(metricsPayload("i1", nothing, nothing));
  assert.ok(!text.includes("null,") || JSON.parse(text).disk === null);
  assert.equal(JSON.parse(text).cpu.usage_percent, 0);
});

Deno.test("heartbeatPayload() has whole seconds, and no field that the console has no column for", () => {
  const own = { instanceId: "i1", at: 0, uptimeMs: 1_999, distro: undefined };
  assert.deepEqual(heartbeatPayload(own, undefined, undefined), {
    instance_id: "i1",
    timestamp: "1970-01-01T00:00:00.000Z",
    uptime_seconds: 1,
  });
  const full = heartbeatPayload({ ...own, distro: "ubuntu" }, reading(100), reading(0));
  assert.equal(full["distro"], "ubuntu");
  assert.equal(full["diskTotal"], 1_001);
});

Deno.test("mountsIn() has each device once, and no bind mounts; in a container the root", () => {
  const text = [
    "22 1 254:1 / / rw - ext4 /dev/vda1 rw",
    "23 1 254:1 / /mnt\\040a rw - ext4 /dev/vda1 rw",
    "24 1 254:1 /home /srv rw - ext4 /dev/vda1 rw",
    "25 1 0:5 / /proc rw - proc proc rw",
    "26 1 254:2 / /data\\040b rw shared:1 - xfs /dev/vdb rw",
    "broken",
  ].join("\n");
  assert.deepEqual(mountsIn(text), [
    { mountPoint: "/", device: "/dev/vda1", type: "ext4" },
    { mountPoint: "/data b", device: "/dev/vdb", type: "xfs" },
  ]);
  assert.deepEqual(mountsIn("1 0 0:1 / / rw - overlay overlay rw").map((one) => one.mountPoint), [
    "/",
  ]);
});
