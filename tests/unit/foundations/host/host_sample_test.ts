import assert from "node:assert/strict";
import { findCgroups } from "@lib/foundations/host/cgroups.ts";
import { sampleHost } from "@lib/foundations/host/host_sample.ts";
import { measureProcess, measureTrees } from "@lib/foundations/host/process_trees.ts";
import { fakeMachine } from "../../../support/fake_machine.ts";

const MAX_INTERFACES = 16;
const DIRECTORIES = { state: "/state", runtime: "/run", temporary: "/tmp" };

const V2_MOUNTS =
  "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
const UNIT = "/user.slice/user-7.slice/user@7.service/app.slice/cicd-runner.service";
const MANAGER = "/sys/fs/cgroup/user.slice/user-7.slice/user@7.service";

Deno.test("sampleHost() reads processors, pressure and network as the kernel writes them", () => {
  const machine = fakeMachine({
    "/proc/stat": "cpu  100 20 300 4000 50 6 7 8 0 0\ncpu0 50 10 150 2000 25 3 3 4 0 0\n" +
      "cpu1 50 10 150 2000 25 3 4 4 0 0\nintr 5 0 0\nctxt 9\n",
    "/proc/pressure/io": "some avg10=1.50 avg60=0.50 avg300=0.10 total=2500000\n" +
      "full avg10=0.25 avg60=0.00 avg300=0.00 total=1000000\n",
    // Before Linux 5.13, there is no such line for the processors.
    "/proc/pressure/cpu": "some avg10=3.00 avg60=2.00 avg300=1.00 total=4000000\n",
    "/proc/net/dev": "Inter-|   Receive\n face |bytes\n" +
      "    lo:  900  9 0 0 0 0 0 0  900 9 0 0 0 0 0 0\n" +
      "veth12:  800  9 0 0 0 0 0 0  800 9 0 0 0 0 0 0\n" +
      "  eth0:12345 10 1 0 0 0 0 0 6789 20 2 0 0 0 0 0\n",
  }, { "/state": { totalBytes: 100, freeBytes: 40, files: 10, freeFiles: 4 } });
  const sample = sampleHost(machine, DIRECTORIES);
  assert.deepEqual(sample.cpu, {
    count: 2,
    seconds: {
      user: 1,
      nice: 0.2,
      system: 3,
      idle: 40,
      iowait: 0.5,
      irq: 0.06,
      softirq: 0.07,
      steal: 0.08,
    },
  });
  assert.equal(sample.pressure.io?.some10, 1.5);
  assert.equal(sample.pressure.io?.fullSeconds, 1);
  assert.equal(sample.pressure.cpu?.full10, 0);
  assert.equal(sample.pressure.memory, undefined);
  assert.deepEqual(sample.network, [
    { name: "eth0", receivedBytes: 12345, receiveErrors: 1, sentBytes: 6789, sendErrors: 2 },
  ]);
  assert.deepEqual(sample.disks.map(({ use, freeBytes }) => [use, freeBytes]), [["state", 40]]);
});

Deno.test("sampleHost() tells apart a bounded number of network interfaces", () => {
  const lines = Array.from({ length: 40 }, (_, index) => `  wg${index}: 10 1 0 0 0 0 0 0 1`);
  const { network } = sampleHost(fakeMachine({ "/proc/net/dev": lines.join("\n") }), DIRECTORIES);
  assert.equal(network.length, MAX_INTERFACES);
  assert.deepEqual(network.at(-1), {
    name: "other",
    receivedBytes: 10 * (40 - MAX_INTERFACES + 1),
    receiveErrors: 0,
    sentBytes: 40 - MAX_INTERFACES + 1,
    sendErrors: 0,
  });
});

Deno.test("sampleHost() leaves out what the kernel does not have", () => {
  const sample = sampleHost(fakeMachine({}), DIRECTORIES);
  assert.equal(sample.cpu, undefined);
  assert.deepEqual(sample.network, []);
  assert.deepEqual(sample.disks, []);
});

Deno.test("findCgroups() measures units of version 2 below the user's manager", () => {
  const slice = `${MANAGER}/cicd.slice/cicd-web.slice`;
  const cgroups = findCgroups(fakeMachine({
    "/proc/self/cgroup": `0::${UNIT}\n`,
    "/proc/self/mountinfo": V2_MOUNTS,
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
    [`${MANAGER}/cgroup.controllers`]: "cpu memory pids\n",
    [`${slice}/cpu.stat`]: "usage_usec 1500000\nuser_usec 1\nthrottled_usec 250000\n",
    [`${slice}/memory.current`]: "4096\n",
    [`${slice}/memory.max`]: "max\n",
    [`${slice}/pids.current`]: "3\n",
    [`${slice}/memory.events`]: "low 0\nhigh 0\nmax 5\noom 2\noom_kill 1\noom_group_kill 0\n",
    [`${slice}/memory.pressure`]: "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n",
  }));
  assert.equal(cgroups.version, 2);
  assert.deepEqual(cgroups.controllers, ["cpuset", "cpu", "io", "memory", "pids"]);
  assert.deepEqual(cgroups.delegated, ["cpu", "memory", "pids"]);
  const use = cgroups.useOf("cicd.slice/cicd-web.slice");
  assert.equal(use?.cpuSeconds, 1.5);
  assert.equal(use?.throttledSeconds, 0.25);
  assert.equal(use?.memoryBytes, 4096);
  assert.equal(use?.memoryLimitBytes, undefined);
  assert.equal(use?.tasks, 3);
  assert.equal(use?.oomKills, 1);
  assert.equal(use?.pressure.memory?.someSeconds, 1);
  assert.deepEqual(cgroups.namesIn("cicd.slice"), ["cicd-web.slice"]);
  assert.equal(cgroups.useOf("cicd.slice/cicd-api.slice"), undefined);
});

Deno.test("findCgroups() reads version 1 where the controllers are there", () => {
  const unit = "/system.slice/cicd-runner.service";
  const cgroups = findCgroups(fakeMachine({
    "/proc/self/cgroup":
      `4:memory:${unit}\n3:cpu,cpuacct:${unit}\n1:name=systemd:${unit}\n0::${unit}\n`,
    "/proc/self/mountinfo": "34 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
      "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" +
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    "/sys/fs/cgroup/memory/cicd.slice/memory.usage_in_bytes": "8192\n",
    "/sys/fs/cgroup/memory/cicd.slice/memory.limit_in_bytes": "9223372036854771712\n",
    "/sys/fs/cgroup/memory/cicd.slice/memory.oom_control":
      "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "/sys/fs/cgroup/cpu/cicd.slice/cpuacct.usage": "2500000000\n",
    "/sys/fs/cgroup/unified/cicd.slice/cpu.stat": "usage_usec 7000000\n",
  }));
  assert.equal(cgroups.version, 1);
  assert.deepEqual(cgroups.controllers, ["cpu", "cpuacct", "memory"]);
  const use = cgroups.useOf("cicd.slice");
  // Version 2 counts time without a controller.
  assert.equal(use?.cpuSeconds, 7);
  assert.equal(use?.memoryBytes, 8192);
  assert.equal(use?.memoryLimitBytes, undefined);
  assert.equal(use?.oomKills, 2);
});

Deno.test("findCgroups() finds none on a machine without them", () => {
  const cgroups = findCgroups(fakeMachine({}));
  assert.equal(cgroups.version, 0);
  assert.equal(cgroups.useOf("cicd.slice"), undefined);
  assert.deepEqual(cgroups.namesIn("cicd.slice"), []);
});

Deno.test("measureTrees() sums up descendants, whatever a process calls itself", () => {
  const stat = (pid: number, parent: number, name = "sh") =>
    `${pid} (${name}) S ${parent} 1 1 0 -1 4194560 1 0 0 0 100 50 0 0 20 0 1 0 777 1000 3 184\n`;
  const machine = fakeMachine({
    "/proc/10/stat": stat(10, 1),
    "/proc/11/stat": stat(11, 10, "x) S 1 (y"),
    "/proc/12/stat": stat(12, 11),
    "/proc/20/stat": stat(20, 1),
  });
  const sums = measureTrees(machine, new Set([10, 99]));
  assert.deepEqual([...sums], [[10, { cpuSeconds: 4.5, memoryBytes: 9 * 4096, tasks: 3 }]]);
  assert.deepEqual(measureProcess(machine, 20), {
    cpuSeconds: 1.5,
    memoryBytes: 3 * 4096,
    tasks: 1,
  });
  assert.equal(measureProcess(machine, 99), undefined);
});
