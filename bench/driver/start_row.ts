/**
 * Measures the time from a job's submission to its first instruction.
 *
 * @module
 */
import { UserManager } from "@lib/foundations/systemd/manager.ts";
import { parseUnitName } from "@lib/foundations/systemd/unit_name.ts";
import { unitProperty } from "@lib/foundations/systemd/unit_property.ts";
import type { Comparison, Series } from "../report.ts";
import { Fifo } from "./fifo.ts";
import type { Bench } from "./bench.ts";
import { PROJECT, rest } from "./product.ts";
import { launch, LIMIT_FLAGS, LIMITS } from "./programs.ts";
import { StartFloor } from "./start_floor.ts";

const SYSTEMD_RUN = ["systemd-run", "--user", "--wait", "--collect", "--quiet"] as const;
const JSON_HEADER = ["--header", "Content-Type: application/json"] as const;

/** Rest before each start on an idle machine. */
const REST_MS = 120;
/** Starts of one contender, back to back; the first is not counted. */
const IN_A_ROW = 6;

/** Starts a job in one way; resolves with the measured milliseconds once the job has ended. */
type Starter = () => Promise<number>;

/** Measures a limited job against `systemd-run`: on a kept connection, and with a process per job. */
export async function measureStart(bench: Bench): Promise<readonly Comparison[]> {
  using fifo = await Fifo.make();
  // The shorter way, and there may be no bus yet.
  await using manager = await UserManager.connectDirectly(Deno.env.toObject(), bench.signal);
  const ours = new OurStarts(bench, fifo);
  const bare = new BareCalls(manager, fifo, bench.signal);
  using floor = await StartFloor.open((accepted) => bare.start(accepted));
  const starters: readonly Starter[] = [
    ours.kept,
    ours.curl,
    spawned(fifo, [...SYSTEMD_RUN, ...LIMIT_FLAGS, "--", ...commandOf(fifo)]),
    spawned(fifo, [...SYSTEMD_RUN, "--", ...commandOf(fifo)]),
    () => bare.start(),
    () => floor.start(),
  ];
  const atRest = await alternate(bench, starters, { restMs: REST_MS, times: 1 });
  const acceptedAtRest = { ours: ours.takeAccepted(), floor: floor.takeAccepted() };
  const inMotion = await alternate(bench, starters, { restMs: REST_MS, times: IN_A_ROW });
  // The first of each block starts at rest.
  const inBlock = (_: number, at: number) => at % IN_A_ROW !== 0;
  const acceptedInMotion = {
    ours: ours.takeAccepted().filter(inBlock),
    floor: floor.takeAccepted().filter(inBlock),
  };
  return [
    ...comparisons(atRest, acceptedAtRest, "idle machine", [
      `${REST_MS} ms without a start before each sample; the kernel is then slow to move a process ` +
      "into its cgroup, see docs/benchmarks.md",
    ]),
    ...comparisons(inMotion, acceptedInMotion, "back to back", [
      `blocks of ${IN_A_ROW} by the same contender, each as soon as the previous job has ended`,
    ]),
  ];
}

function comparisons(
  [kept = [], curl = [], limited = [], plain = [], bare = [], locked = []]: readonly number[][],
  accepted: { readonly ours: readonly number[]; readonly floor: readonly number[] },
  when: string,
  notes: readonly string[],
): readonly Comparison[] {
  const peers: readonly Series[] = [
    { name: "systemd-run --user, same limits", samples: limited },
    { name: "systemd-run --user, no limits", samples: plain },
  ];
  const floors: readonly Series[] = [
    { name: "bare StartTransientUnit, same limits (the floor)", samples: bare },
    { name: "floor: the kernel's lock, one durable commit, the bare call", samples: locked },
  ];
  return [
    {
      name: `submit → first instruction, ${when}`,
      unit: "ms",
      better: "lower",
      ours: { name: "kept connection, limits, durable row", samples: kept },
      peers: [...peers, ...floors],
      notes,
    },
    {
      name: `accepted → first instruction, ${when}`,
      unit: "ms",
      better: "lower",
      target: 6,
      ours: { name: "from the 201", samples: accepted.ours },
      peers: [{
        name: "floor: from the commit, with the kernel's lock taken before it",
        samples: accepted.floor,
      }],
      notes: [
        "the attempt starts before the 201 reaches the client",
        "the floor takes the lock, commits one row and makes the bare call, all in one program",
      ],
    },
    {
      name: `one process per job → first instruction, ${when}`,
      unit: "ms",
      better: "lower",
      ours: { name: "curl --unix-socket, limits, durable row", samples: curl },
      peers,
      notes: [],
    },
  ];
}

/** Lets all contenders take turns; each round begins with another one. */
async function alternate(
  { quick, say, signal }: Bench,
  starters: readonly Starter[],
  { restMs, times }: { readonly restMs: number; readonly times: number },
): Promise<readonly number[][]> {
  const samples = starters.map((): number[] => []);
  const rounds = Math.ceil((quick ? 25 : 100) / Math.max(1, times - 1));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < starters.length; turn++) {
      const at = (round + turn) % starters.length;
      await rest(restMs, signal);
      for (let count = 0; count < times; count++) {
        const ms = await starters[at]?.();
        if (ms !== undefined && (times === 1 || count > 0)) samples[at]?.push(ms);
      }
    }
    if (round % 10 === 9) say(`${round + 1} of ${rounds} rounds, ${times} in a row`);
  }
  return samples;
}

/** The command of the job: a shell that writes to the FIFO. */
function commandOf(fifo: Fifo): readonly [string, ...string[]] {
  return ["/bin/sh", "-c", `echo >${fifo.path}`];
}

/** The two ways to start a job of the product. */
class OurStarts {
  readonly #bench: Bench;
  readonly #fifo: Fifo;
  #accepted: number[] = [];

  constructor(bench: Bench, fifo: Fifo) {
    this.#bench = bench;
    this.#fifo = fifo;
  }

  /** Returns milliseconds from the 201 to the first instruction, of starts since the last call. */
  takeAccepted(): readonly number[] {
    const taken = this.#accepted;
    this.#accepted = [];
    return taken;
  }

  readonly kept: Starter = async () => {
    const { product, signal } = this.#bench;
    const first = this.#fifo.arrival();
    const asked = performance.now();
    const id = await product.submit({ command: commandOf(this.#fifo), limits: LIMITS }, signal);
    const answered = performance.now();
    const arrived = await first;
    this.#accepted.push(arrived - answered);
    await product.ended(id, signal);
    return arrived - asked;
  };

  readonly curl: Starter = async () => {
    const { product, signal } = this.#bench;
    const job = { project: PROJECT, command: commandOf(this.#fifo), limits: LIMITS };
    const first = this.#fifo.arrival();
    const asked = performance.now();
    const child = launch(
      ...["curl", "--silent", "--unix-socket", product.socketPath, ...JSON_HEADER] as const,
      ...["--data", JSON.stringify(job), "http://localhost/v1/jobs"],
    );
    const arrived = await first;
    await child.status;
    await product.idle(signal);
    return arrived - asked;
  };
}

function spawned(fifo: Fifo, argv: readonly [string, ...string[]]): Starter {
  return async () => {
    const first = fifo.arrival();
    const asked = performance.now();
    const child = launch(...argv);
    const arrived = await first;
    await child.status;
    return arrived - asked;
  };
}

/** The bare call: no row, no log file, no record of the result. */
class BareCalls {
  readonly #manager: UserManager;
  readonly #fifo: Fifo;
  readonly #signal: AbortSignal;
  #count = 0;

  constructor(manager: UserManager, fifo: Fifo, signal: AbortSignal) {
    this.#manager = manager;
    this.#fifo = fifo;
    this.#signal = signal;
  }

  /** @param beforehand Runs first, within the measured time. */
  async start(beforehand: () => void = () => {}): Promise<number> {
    const unit = parseUnitName(`bench-bare-${++this.#count}.service`);
    if (unit === undefined) throw new Error("invalid unit name");
    const gone = Promise.withResolvers<void>();
    using _ = this.#manager.onUnitRemoved((name) => name === unit && gone.resolve());
    const first = this.#fifo.arrival();
    const asked = performance.now();
    beforehand();
    await this.#manager.startTransientService(unit, [
      unitProperty.type("exec"),
      unitProperty.collectMode("inactive-or-failed"),
      unitProperty.memoryMax(256 * 2 ** 20),
      unitProperty.cpuQuota(1),
      unitProperty.tasksMax(64),
      unitProperty.execStart({ argv: commandOf(this.#fifo) }),
    ], this.#signal);
    const arrived = await first;
    await gone.promise;
    return arrived - asked;
  }
}
