import assert from "node:assert/strict";
import { CLOSED, containerContract } from "../support/container_bench.ts";
import { useDockerEngine } from "../support/container_suite.ts";
import { Bench, deadline, script } from "../support/executor_contract.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

const use = useDockerEngine();
const MIB = 1024 ** 2;

/** Runs a script in a closed container; its output is returned with the outcome. */
async function run(
  text: string,
  spec: Partial<Omit<JobSpec, "work" | "env">> = {},
  rules: Parameters<typeof containerContract>[1] = {},
): Promise<{ readonly outcome: AttemptOutcome; readonly log: string }> {
  await using bench = new Bench(containerContract(use, rules));
  const executor = await bench.executor();
  const request = bench.request(script(text), spec);
  await executor.start(request, deadline());
  const outcome = await executor.ended(request, deadline());
  return { outcome, log: Deno.readTextFileSync(request.directory.logFile("merged")) };
}

Deno.test("ContainerExecutor tells an out-of-memory kill from an exit with 137", async () => {
  const { outcome } = await run(
    "sleep 0.2; exec tail -c 200m /dev/zero",
    { limits: { memoryBytes: 32 * MIB } },
  );
  assert.equal(outcome.reason, "oom_killed", outcome.message);
  assert.equal(outcome.state, "failed");
  assert.equal(outcome.signal, "SIGKILL");
  assert.match(outcome.message, /32M/);
  const plain = await run("exit 137", { limits: { memoryBytes: 32 * MIB } });
  assert.equal(plain.outcome.reason, "exit_code");
  assert.equal(plain.outcome.exitCode, 137);
});

Deno.test("ContainerExecutor says so when a part of the job ran out of memory", async () => {
  // Not all at once before the end: Docker then loses some kills.
  const { outcome } = await run(
    "tail -c 200m /dev/zero >/dev/null; echo went on; sleep 1; exit 3",
    { limits: { memoryBytes: 32 * MIB } },
  );
  assert.equal(outcome.reason, "exit_code");
  assert.equal(outcome.exitCode, 3);
  assert.match(outcome.message, /processes ran out of memory/);
});

Deno.test("ContainerExecutor measures memory, CPU and throttling", async () => {
  const { outcome } = await run(
    "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; sleep 0.3",
    { limits: { cpu: 0.2, memoryBytes: 64 * MIB } },
  );
  assert.equal(outcome.state, "succeeded", outcome.message);
  assert((outcome.usage.cpuSeconds ?? 0) > 0.05, JSON.stringify(outcome.usage));
  assert((outcome.usage.memoryPeakBytes ?? 0) > 100_000, JSON.stringify(outcome.usage));
  assert((outcome.usage.cpuThrottledSeconds ?? 0) > 0, JSON.stringify(outcome.usage));
});

Deno.test("ContainerExecutor bounds processes by the job's limit, else by the configuration's", async () => {
  const many =
    "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; ls -d /proc/[0-9]* | wc -l";
  const bounded = await run(`(${many}); exit 0`, { limits: { tasks: 10 } });
  assert.doesNotMatch(bounded.log, /^[34]\d$/m);
  const rule = await run(
    "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max",
  );
  assert.match(rule.log, /^256$/m);
});

Deno.test("ContainerExecutor closes a container by itself", async () => {
  const { log, outcome } = await run(`
    grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
    ls /sys/class/net
    id -u
    [ -e /dev/sda ] || [ -e /dev/vda ] || echo no disks
    mount -t tmpfs x /tmp 2>/dev/null || echo no mounts
    ls /var/run/docker.sock 2>/dev/null || echo no engine
    readlink /proc/1/ns/pid
    echo "$HOME $PWD"
    touch "$HOME/mine" /workspace/mine && echo writable`);
  assert.equal(outcome.state, "succeeded", log);
  assert.match(log, /CapEff:\t0000000000000000/);
  assert.match(log, /CapBnd:\t0000000000000000/);
  assert.match(log, /NoNewPrivs:\t1/);
  assert.match(log, /Seccomp:\t2/);
  assert.match(log, /^lo$/m);
  assert.doesNotMatch(log, /^(eth|ens|docker)/m);
  for (const word of ["no disks", "no mounts", "no engine", "writable"]) {
    assert(log.includes(word), `${word}: ${log}`);
  }
  assert(!log.includes(Deno.readLinkSync("/proc/self/ns/pid")));
});

Deno.test("ContainerExecutor opens what is asked for and allowed, and nothing else", async () => {
  const container = {
    ...CLOSED,
    capabilities: ["NET_RAW"],
    ulimits: { nofile: 77 },
    shmBytes: MIB,
  };
  const { log } = await run(
    "grep CapEff /proc/self/status; ulimit -n; df /dev/shm",
    { container },
    {
      allow: ["capabilities"],
    },
  );
  assert.match(log, /CapEff:\t0000000000002000/);
  assert.match(log, /^77$/m);
  assert.match(log, /1024/);
  await assert.rejects(run("true", { container }), /container\.capabilities\.0/);
});

Deno.test("ContainerExecutor resolves the symlinks of a mount before it checks it", async () => {
  const directory = await Deno.makeTempDir();
  await Deno.mkdir(`${directory}/open`);
  await Deno.writeTextFile(`${directory}/open/word`, "hello");
  await Deno.symlink("/etc", `${directory}/open/link`);
  const mounted = (source: string) => ({
    container: { ...CLOSED, mounts: [{ source, target: "/data", readOnly: true }] },
  });
  const rules = { allow: ["mounts"], mounts: [`${directory}/open`] };
  const { log } = await run(
    "cat /data/word; touch /data/x 2>&1",
    mounted(`${directory}/open`),
    rules,
  );
  assert.match(log, /hello/);
  assert.match(log, /Read-only/);
  await assert.rejects(
    run("cat /data/passwd", mounted(`${directory}/open/link`), rules),
    /not below a path of the project/,
  );
  await Deno.remove(directory, { recursive: true });
});

Deno.test("ContainerExecutor says why the disk cannot be limited", async () => {
  await assert.rejects(run("true", { limits: { diskBytes: 64 * MIB } }), /limits\.disk/);
});

Deno.test("ContainerExecutor leaves nothing at the engine, whatever the end", async () => {
  await run("exit 0");
  await run("sleep 1000", { timeoutMs: 100, graceMs: 0 });
  await use.engine.left();
});
