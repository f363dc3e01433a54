/**
 * Measures how long a killed runner takes to be back, with and without a long queue.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import { Fifo } from "./fifo.ts";
import type { Bench } from "./bench.ts";
import { rest, RUNNER_UNIT } from "./product.ts";
import { systemctl } from "./programs.ts";

const QUEUED = 10_000;
const MAX_RUNNING = 8;

/** Kills the runner with SIGKILL while 8 jobs run, with 10,000 jobs queued and with none. */
export async function measureRecovery(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  using fifo = await Fifo.make();
  const queued = quick ? QUEUED / 10 : QUEUED;
  const rounds = quick ? 2 : 6;
  const sleepers: string[] = [];
  const occupy = async () => {
    for (let count = 0; count < MAX_RUNNING; count++) {
      sleepers.push(
        await product.submit({ command: ["/bin/sleep", "10000"], grace: "0s" }, signal),
      );
    }
    await rest(1_000, signal);
  };

  await occupy();
  const empty: Recovery[] = [];
  for (let round = 0; round < rounds; round++) empty.push(await killAndWait(bench));
  say("without a queue: done");

  const command = ["/bin/sh", "-c", `echo >${fifo.path}; exec sleep 10000`];
  const begun = performance.now();
  await submitMany(bench, command, queued);
  const accepted = queued / (performance.now() - begun) * 1_000;
  say(`${queued} jobs queued`);
  const full: Recovery[] = [];
  const next: number[] = [];
  for (let round = 0; round < rounds; round++) {
    full.push(await killAndWait(bench));
    await rest(500, signal);
    const sleeper = sleepers.pop();
    if (sleeper === undefined) break;
    const first = fifo.arrival();
    const asked = performance.now();
    await product.ask("POST", `/v1/jobs/${sleeper}/cancel`, signal);
    next.push(await first - asked);
    say(`round ${round + 1} of ${rounds}`);
  }
  const starts = (recoveries: readonly Recovery[]) => recoveries.map(({ startMs }) => startMs);
  const totals = (recoveries: readonly Recovery[]) => recoveries.map(({ totalMs }) => totalMs);
  return [
    {
      name: `process start → ready, ${queued} queued`,
      unit: "ms",
      better: "lower",
      ours: { name: `${queued} queued, ${MAX_RUNNING} running`, samples: starts(full) },
      peers: [{ name: "ours with an empty queue", samples: starts(empty) }],
      notes: ["a ratio of 1 means that the queue length does not matter"],
    },
    {
      name: `SIGKILL → /readyz is 200, ${queued} queued`,
      unit: "ms",
      better: "lower",
      ours: { name: `${queued} queued, ${MAX_RUNNING} running`, samples: totals(full) },
      peers: [{ name: "ours with an empty queue", samples: totals(empty) }],
      notes: ["includes RestartSec=200ms"],
    },
    {
      name: `slot free → next job's first instruction, ${queued} queued`,
      unit: "ms",
      better: "lower",
      ours: { name: "cancel a sleeping job → next job", samples: next },
      peers: [],
      notes: ["includes the end of the cancelled job: stop, record, settle"],
    },
    {
      name: "submissions per second into a growing queue",
      unit: "jobs/s",
      better: "higher",
      ours: { name: "8 kept connections", samples: [accepted] },
      peers: [],
      notes: [],
    },
  ];
}

interface Recovery {
  /** From SIGKILL until the runner reports that it is ready. */
  readonly totalMs: number;
  /** From the start of the new process to its READY=1, by the service manager's clock. */
  readonly startMs: number;
}

async function killAndWait({ product, signal }: Bench): Promise<Recovery> {
  await rest(300, signal);
  await systemctl("reset-failed");
  const pid = Number(await systemctl("show", "--property=MainPID", "--value", RUNNER_UNIT));
  const begun = performance.now();
  Deno.kill(pid, "SIGKILL");
  while (!await isReady(product, signal)) await rest(2, signal);
  const totalMs = performance.now() - begun;
  const times = await systemctl(
    ...["show", "--property=ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic"],
    RUNNER_UNIT,
  );
  const at = (name: string) => Number(new RegExp(`^${name}=(\\d+)$`, "m").exec(times)?.[1]) / 1_000;
  return {
    totalMs,
    startMs: at("ActiveEnterTimestampMonotonic") - at("ExecMainStartTimestampMonotonic"),
  };
}

/** Checks that the runner is ready; a broken connection means not yet. */
async function isReady(product: Bench["product"], signal: AbortSignal): Promise<boolean> {
  try {
    await product.ask("GET", "/readyz", signal);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

async function submitMany(
  { product, signal }: Bench,
  command: readonly string[],
  count: number,
): Promise<void> {
  let left = count;
  await Promise.all(Array.from({ length: MAX_RUNNING }, async () => {
    while (left > 0) {
      left--;
      await product.submit({ command, grace: "0s" }, signal);
    }
  }));
}
