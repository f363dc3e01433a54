/**
 * Measures the processor time of a job, by the process that spends it.
 *
 * The control groups of the units count it, processes that have ended included. Clients are counted
 * by the driver's own times, those of the programs that it waited for included.
 *
 * @module
 */
import type { Comparison, Series } from "../report.ts";
import type { Bench } from "./bench.ts";
import {
  BACK_UNIT,
  BareUnits,
  FLOOR_SLICE,
  FRONT_UNIT,
  passRequests,
  startServers,
} from "./cpu_floor.ts";
import { AGENT_UNIT, PROJECT, rest, RUNNER_UNIT } from "./product.ts";
import { run, systemctl } from "./programs.ts";
import { counterOf, groupOf, managerGroup, timeIn } from "./unit_figures.ts";

const PARALLEL = 8;
const PEER_SLICE = "benchpeer.slice";
/** Unit of the times in `/proc/PID/stat`. */
const TICKS_PER_S = 100;
/** For what a job leaves to be done after its end. */
const TAIL_MS = 300;
/** For the collection of garbage in a program that has become idle: a cost per burst, not per job. */
const IDLE_MS = 3_000;

/** Who spends the time; the first is the sum of the others. */
const SPENDERS = [
  "all",
  "runner",
  "agent",
  "systemd --user",
  "bus",
  "journald",
  "job and recorder",
  "client",
] as const;
type Spender = typeof SPENDERS[number];
/** Microseconds, or milliseconds per job. */
type Spent = Readonly<Record<Spender, number>>;

/**
 * Measures a batch of `true` against as many `systemd-run`, equally parallel, and the two parts of
 * the floor.
 */
export async function measureCpu(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  const jobs = quick ? 100 : 200;
  const rounds = quick ? 2 : 9;
  await startServers();
  const groups = await findGroups();
  const first = await product.submit({ command: ["/bin/true"] }, signal);
  await product.ended(first, signal);
  await using units = await BareUnits.open(first, signal);
  const spentBy = async (work: () => Promise<unknown>): Promise<Spent> => {
    const before = await readSpent(groups);
    await work();
    await rest(TAIL_MS, signal);
    const after = await readSpent(groups);
    await rest(IDLE_MS, signal);
    return perJob(before, after, jobs);
  };
  const ours: Spent[] = [];
  const peers: Spent[] = [];
  const bareUnits: Spent[] = [];
  const bareServers: Spent[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(
      await spentBy(async () => {
        const ids: string[] = [];
        for (let count = 0; count < jobs; count++) {
          ids.push(await product.submit({ command: ["/bin/true"] }, signal));
        }
        for (const id of ids) await product.ended(id, signal);
      }),
    );
    peers.push(
      await spentBy(() =>
        run(
          ...["sh", "-c"] as const,
          `seq ${jobs} | xargs -P ${PARALLEL} -I{} ` +
            `systemd-run --user --wait --collect --quiet --slice=${PEER_SLICE} /bin/true`,
        )
      ),
    );
    bareUnits.push(await spentBy(() => units.run(jobs, PARALLEL, signal)));
    bareServers.push(await spentBy(() => passRequests(jobs, signal)));
    say(`round ${round + 1} of ${rounds}`);
  }
  const floor = bareUnits.map((one, at) => sumOf(one, bareServers[at]));
  return SPENDERS.map((spender) => {
    const series = (name: string, spent: readonly Spent[]): Series => ({
      name,
      samples: spent.map((one) => one[spender]),
    });
    return {
      name: `CPU per job: ${spender}`,
      unit: "ms",
      better: "lower",
      ours: series("one connection, 8 jobs at once", ours),
      peers: [
        series("systemd-run --wait under xargs", peers),
        series("floor: the same units without the product", bareUnits),
        series("floor: two bare servers, one durable commit each", bareServers),
        ...(spender === "all" ? [series("floor: both together", floor)] : []),
      ],
      notes: [],
    };
  });
}

/** The files that count each spender's time; the others' jobs have slices of their own. */
type Groups = Readonly<Partial<Record<Spender, readonly string[]>>>;

async function findGroups(): Promise<Groups> {
  // The bus starts with its first client, which none of ours need be.
  await systemctl("start", PEER_SLICE, FLOOR_SLICE, "dbus.service");
  const journal = await run(
    ...["systemctl", "show", "--property=ControlGroup", "--value"] as const,
    "systemd-journald.service",
  );
  return {
    "runner": [counterOf(await groupOf(RUNNER_UNIT)), counterOf(await groupOf(FRONT_UNIT))],
    "agent": [counterOf(await groupOf(AGENT_UNIT)), counterOf(await groupOf(BACK_UNIT))],
    "systemd --user": [counterOf(await managerGroup(RUNNER_UNIT))],
    "bus": [counterOf(await groupOf("dbus.service"))],
    "journald": [counterOf(journal.trim())],
    "job and recorder": [
      counterOf(await groupOf(`cicd-${PROJECT}.slice`)),
      counterOf(await groupOf(PEER_SLICE)),
      counterOf(await groupOf(FLOOR_SLICE)),
    ],
  };
}

async function readSpent(groups: Groups): Promise<Spent> {
  const usage = async (spender: Spender) => {
    let sum = 0;
    for (const path of groups[spender] ?? []) sum += await timeIn(path);
    return sum;
  };
  const parts = {
    "runner": await usage("runner"),
    "agent": await usage("agent"),
    "systemd --user": await usage("systemd --user"),
    "bus": await usage("bus"),
    "journald": await usage("journald"),
    "job and recorder": await usage("job and recorder"),
    "client": await ownTime(),
  };
  return { all: Object.values(parts).reduce((sum, part) => sum + part, 0), ...parts };
}

/** Microseconds of this program and of those that it waited for. */
async function ownTime(): Promise<number> {
  const text = await Deno.readTextFile("/proc/self/stat");
  // The name may contain spaces and parentheses; the times are fields 14 to 17.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return ticks * 1_000_000 / TICKS_PER_S;
}

function perJob(from: Spent, to: Spent, jobs: number): Spent {
  return combine((spender) => (to[spender] - from[spender]) / 1_000 / jobs);
}

function sumOf(one: Spent, other: Spent | undefined): Spent {
  return combine((spender) => one[spender] + (other?.[spender] ?? NaN));
}

function combine(of: (spender: Spender) => number): Spent {
  return {
    "all": of("all"),
    "runner": of("runner"),
    "agent": of("agent"),
    "systemd --user": of("systemd --user"),
    "bus": of("bus"),
    "journald": of("journald"),
    "job and recorder": of("job and recorder"),
    "client": of("client"),
  };
}
