/**
 * Measures what the queue asks its store for at each turn, with a long queue and history.
 *
 * @module
 */
import { JobStore } from "@lib/spine/queue/job_store.ts";
import { pickJobs } from "@lib/spine/queue/scheduler.ts";
import { type LongHistory, openLongHistory } from "../tests/support/long_history.ts";
import type { Comparison } from "./report.ts";

/** Options for {@linkcode measurePick}. */
export interface PickOptions {
  /** A directory on a real disk. */
  readonly scratch: string;
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

const MAX_RUNNING = 8;
const TARGET_MS = 2;
const LONG = 100_000;
const SHORT = 100;

/** What the queued jobs are. */
const QUEUES = {
  "": {},
  ", all of one group that is at work": { group: "deploy" },
  ", all to be tried again later": { isDelayed: true },
} as const;

/** Measures a turn of the queue from its question to the choice, without the commit. */
export async function measurePick(options: PickOptions): Promise<readonly Comparison[]> {
  const rows: Comparison[] = [];
  for (const [name, queue] of Object.entries(QUEUES)) {
    const [long, short] = [await turns(options, LONG, queue), await turns(options, SHORT, queue)];
    options.say(`measured${name}`);
    rows.push({
      name: `pick of the next jobs${name}`,
      unit: "ms",
      better: "lower",
      target: TARGET_MS,
      ours: { name: `${LONG} queued, ${LONG} ended`, samples: long },
      peers: [{ name: `${SHORT} queued, ${SHORT} ended`, samples: short }],
      notes: [],
    });
  }
  return rows;
}

async function turns(
  { scratch, quick }: PickOptions,
  jobs: number,
  queue: Omit<LongHistory, "path">,
): Promise<readonly number[]> {
  const directory = await Deno.makeTempDir({ dir: scratch, prefix: "pick-" });
  try {
    using db = openLongHistory(jobs, { ...queue, path: `${directory}/runner.db` });
    const store = new JobStore({ db, ageingMs: 60_000, onChange() {} });
    // One job of each project is at work.
    for (const { candidates } of store.candidates(1e6, 1)) {
      for (const { id } of candidates) store.apply(id, { kind: "claimed", bootId: "boot" });
    }
    const samples: number[] = [];
    for (let count = 0; count < (quick ? 20 : 200); count++) {
      const begun = performance.now();
      turn(store);
      samples.push(performance.now() - begun);
    }
    return samples.slice(samples.length / 10);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Asks what the dispatcher asks at each turn. */
function turn(store: JobStore): void {
  store.queuedCount();
  store.intakeModes();
  pickJobs(store.candidates(1e6, MAX_RUNNING), {
    running: 0,
    maxRunning: MAX_RUNNING,
    inFlight: new Map(),
    maxProjects: MAX_RUNNING,
    maxRunningOf: () => MAX_RUNNING,
    isPaused: () => false,
    lastTurnOf: () => 0,
  });
  store.nextNotBefore(1e6);
  store.inFlight();
}
