/**
 * Limits of one job.
 *
 * @module
 */
import type { LimitRow } from "../support/vm_report.ts";
import { type Check, verdict } from "./check.ts";
import {
  AGENT,
  ended,
  figure,
  job as showJob,
  log,
  mib,
  PROJECT_SLICE,
  read,
  record,
  run,
  show,
  submit,
  systemctl,
  unitOf,
  until,
  untilRunning,
} from "./guest.ts";

/** `limits.memory`, through the command line. */
export const memoryCheck: Check = {
  name: "memory",
  async carryOut() {
    const argv = ["cicd-runner", "run", "--project", "web", "--limit-memory", "64M", "--"];
    const { code, stderr } = await run([...argv, "tail", "/dev/zero"], { timeoutMs: 180_000 });
    const id = /job ([0-9a-f-]{36})/.exec(stderr)?.[1];
    if (id === undefined) throw new Error(`The command line did not say which job: ${stderr}`);
    const job = await showJob(id);
    const figures = await record(id);
    const peak = job.usage.memory_peak_bytes ?? 0;
    return {
      rows: [{
        limit: "`limits.memory` (`MemoryMax=`)",
        set: "64M; the job asks for more and more",
        kernel: `memory.events oom_kill ${figure(figures, "memory_oom_kill")}, memory.peak ${
          mib(figure(figures, "memory_peak"))
        }`,
        result: `${verdict(job)}; \`cicd-runner run\` exits with ${code}`,
        ok: job.state === "failed" && job.reason === "oom_killed" && code === 137 &&
          figure(figures, "memory_oom_kill") > 0 && peak > 56 * 2 ** 20 && peak <= 64 * 2 ** 20 &&
          /killed at its 64M limit; it used .* at its peak/.test(job.message ?? ""),
      }],
    };
  },
};

const BUSY_SECONDS = 10;

/** `limits.cpu`. */
export const cpuCheck: Check = {
  name: "cpu",
  async carryOut() {
    const script = `timeout ${BUSY_SECONDS} sh -c 'while :; do :; done' || true`;
    const id = await submit({ script, limits: { cpu: 0.25 } });
    const job = await ended(id);
    const figures = await record(id);
    const { cpu_seconds, wall_seconds, cpu_throttled_seconds } = job.usage;
    const share = (cpu_seconds ?? 0) / (wall_seconds ?? Infinity);
    return {
      rows: [{
        limit: "`limits.cpu` (`CPUQuota=`)",
        set: `0.25; the job computes for ${BUSY_SECONDS} s`,
        kernel: `cpu.stat nr_throttled ${figure(figures, "cpu_nr_throttled")}, throttled for ${
          (figure(figures, "cpu_throttled_usec") / 1e6).toFixed(1)
        } s`,
        result: `${job.state}; ${cpu_seconds?.toFixed(1)} CPU seconds in ${
          wall_seconds?.toFixed(1)
        } s (${share.toFixed(2)}), throttled for ${cpu_throttled_seconds?.toFixed(1)} s`,
        ok: job.state === "succeeded" && (cpu_throttled_seconds ?? 0) > 0 && share > 0.15 &&
          share < 0.32,
      }],
    };
  },
};

/** Ends with 7 once it could not fork; nothing in it needs another process to tell so. */
const FORKS = `( for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 60 & done )
echo "the loop ended with $?"
IFS=: read -r _ _ group </proc/self/cgroup
while read -r key value; do echo "pids.events $key $value"; done <"/sys/fs/cgroup$group/pids.events"
exit 7
`;

/** Without a second task nothing can be forked, not even what records the end. */
async function aloneRow(): Promise<LimitRow> {
  const id = await submit({ command: ["/bin/sh", "-c", "exit 5"], limits: { tasks: 1 } });
  const job = await ended(id);
  return {
    limit: "the same",
    set: "1; the job exits with 5",
    kernel: "leaves no task for what records the end",
    result: verdict(job),
    ok: job.state === "failed" && job.exit_code === 5,
  };
}

/** `limits.tasks`. */
export const tasksCheck: Check = {
  name: "tasks",
  async carryOut() {
    const id = await submit({ script: FORKS, errexit: false, limits: { tasks: 8 } });
    const job = await ended(id);
    const output = await log(id);
    const refused = Number(/^pids\.events max (\d+)$/m.exec(output)?.[1] ?? 0);
    const said = /[^/\n]*fork.*$/im.exec(output)?.[0] ?? "nothing";
    return {
      rows: [{
        limit: "`limits.tasks` (`TasksMax=`)",
        set: "8; the job forks 16 times",
        kernel: `pids.events max ${refused}`,
        result: `${verdict(job)}; its log: "${said}"`,
        ok: refused > 0 && /fork/i.test(said) && job.state === "failed" && job.exit_code === 7 &&
          /limit of 8 tasks/.test(job.message ?? ""),
      }, await aloneRow()],
    };
  },
};

/** The time limit, while the agent cannot do anything. */
export const timeoutCheck: Check = {
  name: "timeout",
  async carryOut(tell) {
    const id = await submit({ script: "sleep 300", timeout: "8s", grace: "2s" });
    await untilRunning(id);
    const pid = await show(AGENT, "MainPID");
    await systemctl("kill", "--kill-who=main", "--signal=STOP", AGENT);
    let seconds: number;
    try {
      tell("the agent stands still");
      const begun = performance.now();
      const group = `${PROJECT_SLICE}/${unitOf(id)}`;
      const gone = async () => await read(`${group}/cgroup.procs`) === undefined;
      // Below the 30 s after which the agent's watchdog would act.
      await until("the end of the unit", gone, 25_000);
      seconds = (performance.now() - begun) / 1_000;
    } finally {
      await systemctl("kill", "--kill-who=main", "--signal=CONT", AGENT);
    }
    const job = await ended(id);
    const samePid = await show(AGENT, "MainPID") === pid;
    return {
      rows: [{
        limit: "`timeout` (`RuntimeMaxSec=`)",
        set: "8s; the agent is stopped with SIGSTOP meanwhile",
        kernel: `the unit's cgroup was gone after ${seconds.toFixed(1)} s, the agent stopped`,
        result: verdict(job),
        ok: job.state === "timed_out" && job.reason === "timeout" && samePid &&
          /time limit of 8s/.test(job.message ?? ""),
      }],
    };
  },
};
