/**
 * Measures jobs per second, each a unit with a log and a durable record.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import type { Bench } from "./bench.ts";
import { rest } from "./product.ts";
import { run } from "./programs.ts";

const PARALLEL = 8;

/** Measures a batch of `true` against as many `systemd-run`, equally parallel. */
export async function measureRate(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  const jobs = quick ? 100 : 500;
  const rounds = quick ? 1 : 3;
  const ours: number[] = [];
  const accepting: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now();
    const ids: string[] = [];
    for (let count = 0; count < jobs; count++) {
      ids.push(await product.submit({ command: ["/bin/true"] }, signal));
    }
    accepting.push(jobs / (performance.now() - begun) * 1_000);
    for (const id of ids) {
      const state = await product.ended(id, signal);
      if (state !== "succeeded") throw new Error(`Job ${id} ended as ${state}`);
    }
    ours.push(jobs / (performance.now() - begun) * 1_000);
    await rest(500, signal);
    const start = performance.now();
    await run(
      ...["sh", "-c"] as const,
      `seq ${jobs} | xargs -P ${PARALLEL} -I{} ` +
        "systemd-run --user --wait --collect --quiet /bin/true",
    );
    peer.push(jobs / (performance.now() - start) * 1_000);
    await rest(500, signal);
    say(`round ${round + 1} of ${rounds}`);
  }
  return [
    {
      name: `jobs per second, ${PARALLEL} at once`,
      unit: "jobs/s",
      better: "higher",
      ours: { name: `${jobs} jobs, queued and recorded`, samples: ours },
      peers: [{ name: "systemd-run --wait under xargs", samples: peer }],
      notes: [`from the first submission until the last of ${jobs} is known to have ended`],
    },
    {
      name: "submissions per second while jobs run",
      unit: "jobs/s",
      better: "higher",
      ours: { name: "one kept connection, one at a time", samples: accepting },
      peers: [],
      notes: ["each response follows the commit of its row"],
    },
  ];
}
