/**
 * Measures jobs per second, each a unit with a log and a durable record.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import type { Comparison, Series } from "../report.ts";
import type { Bench } from "./bench.ts";
import { BareUnits, runFloor, startServers } from "./cpu_floor.ts";
import { rest } from "./product.ts";
import { run } from "./programs.ts";

const PARALLEL = 8;
/** Ended jobs of a long history. */
const ENDED = 100_000;
const PEER = "systemd-run --wait under xargs";

/**
 * Measures a batch of `true` against as many `systemd-run`, equally parallel, and against the floor:
 * two bare servers and the same units; then once more with a long history.
 */
export async function measureRate(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  const jobs = quick ? 100 : 500;
  const rounds = quick ? 1 : 3;
  await startServers();
  const first = await product.submit({ command: ["/bin/true"] }, signal);
  await product.ended(first, signal);
  await using units = await BareUnits.open(first, signal);
  const floor: number[] = [];
  const short = await measureBatches(bench, { jobs, rounds }, async () => {
    floor.push(await perSecond(jobs, () => runFloor(units, { jobs, parallel: PARALLEL, signal })));
  });
  const ended = quick ? ENDED / 10 : ENDED;
  await addHistory(bench, first, ended);
  say(`${ended} jobs in the history`);
  const long = await measureBatches(bench, { jobs, rounds });
  const batch = (name: string, { ours, peer }: Batches, others: readonly Series[]): Comparison => ({
    name,
    unit: "jobs/s",
    better: "higher",
    ours: { name: `${jobs} jobs, queued and recorded`, samples: ours },
    peers: [{ name: PEER, samples: peer }, ...others],
    notes: [`from the first submission until the last of ${jobs} is known to have ended`],
  });
  return [
    batch(`jobs per second, ${PARALLEL} at once`, short, [
      { name: "floor: two bare servers, two commits, the same units", samples: floor },
    ]),
    batch(`jobs per second, ${PARALLEL} at once, ${ended} ended jobs in the history`, long, [
      { name: "ours with a short history", samples: short.ours },
    ]),
    {
      name: "submissions per second while jobs run",
      unit: "jobs/s",
      better: "higher",
      ours: { name: "one kept connection, one at a time", samples: short.accepting },
      peers: [],
      notes: ["each response follows the commit of its row"],
    },
  ];
}

/** Samples in jobs per second. */
interface Batches {
  readonly ours: readonly number[];
  readonly accepting: readonly number[];
  readonly peer: readonly number[];
}

async function measureBatches(
  { product, say, signal }: Bench,
  { jobs, rounds }: { readonly jobs: number; readonly rounds: number },
  beside: () => Promise<void> = () => Promise.resolve(),
): Promise<Batches> {
  const ours: number[] = [];
  const accepting: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const ids: string[] = [];
    ours.push(
      await perSecond(jobs, async () => {
        accepting.push(
          await perSecond(jobs, async () => {
            for (let count = 0; count < jobs; count++) {
              ids.push(await product.submit({ command: ["/bin/true"] }, signal));
            }
          }),
        );
        for (const id of ids) {
          const state = await product.ended(id, signal);
          if (state !== "succeeded") throw new Error(`Job ${id} ended as ${state}`);
        }
      }),
    );
    await rest(500, signal);
    peer.push(
      await perSecond(jobs, () =>
        run(
          ...["sh", "-c"] as const,
          `seq ${jobs} | xargs -P ${PARALLEL} -I{} ` +
            "systemd-run --user --wait --collect --quiet /bin/true",
        )),
    );
    await rest(500, signal);
    await beside();
    await rest(500, signal);
    say(`round ${round + 1} of ${rounds}`);
  }
  return { ours, accepting, peer };
}

async function perSecond(jobs: number, work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return jobs / (performance.now() - begun) * 1_000;
}

/** Stores copies of an ended job, older than it, in the database of the stopped product. */
async function addHistory({ product, signal }: Bench, id: string, count: number): Promise<void> {
  await product.stop();
  const path = `${Deno.env.get("HOME")}/.local/state/cicd-toolkit/runner.db`;
  using db = new DatabaseSync(path);
  db.exec("PRAGMA synchronous=OFF");
  const columns = db.prepare("SELECT name FROM pragma_table_info('jobs')").all()
    .map(({ name }) => String(name));
  const values = columns.map((name) => {
    if (name === "id") return NUMBERED_ID;
    return name === "revision" ? "(SELECT max(revision) FROM jobs) + n" : name;
  });
  const numbers = `WITH RECURSIVE numbers (n) AS (
    SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})`;
  db.exec("BEGIN");
  db.prepare(
    `${numbers} INSERT INTO jobs (${columns.join(", ")})
     SELECT ${values.join(", ")} FROM numbers, jobs WHERE id = ?`,
  ).run(id);
  const kept = db.prepare("SELECT name FROM pragma_table_info('attempts')").all()
    .map(({ name }) => String(name)).filter((name) => name !== "job_id").join(", ");
  db.prepare(
    `${numbers} INSERT INTO attempts (job_id, ${kept})
     SELECT ${NUMBERED_ID}, ${kept} FROM numbers, attempts WHERE job_id = ?`,
  ).run(id);
  db.exec("COMMIT");
  db.close();
  const warm = await product.submit({ command: ["/bin/true"] }, signal);
  await product.ended(warm, signal);
}

const NUMBERED_ID = "printf('%08x-0000-7000-8000-%012x', n, n)";
