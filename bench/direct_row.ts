/**
 * Measures the processor time of a job in direct mode, where no service manager is.
 *
 * A control group counts it, processes that have ended included; it limits nothing.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";
import { rest, sendJson, textOf } from "./driver/product.ts";
import type { Comparison } from "./report.ts";

/** Options for {@linkcode measureDirect}. */
export interface DirectOptions {
  /** A build: a directory with `bin/`. */
  readonly dist: string;
  /** A directory on a real disk. */
  readonly scratch: string;
  readonly quick: boolean;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

const PROJECT = "bench";
const START_TIMEOUT_MS = 60_000;
const TARGET_MS = 8;
/** For what a job leaves to be done after its end. */
const TAIL_MS = 300;
/** Unit of the times in `/proc/PID/stat`. */
const TICKS_PER_S = 100;

/**
 * The ways of `direct.contain`, and the bare programs that hold a job as well: the first with the same
 * namespaces, and each with a session for the job and its end awaited.
 */
const WAYS = {
  namespace: "unshare --pid --fork --kill-child --mount-proc setsid --fork --wait /bin/true",
  marker: "setsid --fork --wait /bin/true",
} as const;
type Way = keyof typeof WAYS;

/** Measures jobs with `true` in both ways, one after the other, against the bare programs. */
export async function measureDirect(options: DirectOptions): Promise<readonly Comparison[]> {
  const rows: Comparison[] = [];
  for (const way of ["namespace", "marker"] as const) rows.push(...await measureWay(way, options));
  return rows;
}

async function measureWay(way: Way, options: DirectOptions): Promise<readonly Comparison[]> {
  const { quick, say, signal } = options;
  const jobs = quick ? 20 : 100;
  const rounds = quick ? 2 : 9;
  await using runner = await DirectRunner.open(way, options);
  const programs: number[] = [];
  const held: number[] = [];
  const bare: number[] = [];
  await runner.run(20);
  await rest(TAIL_MS, signal);
  for (let round = 0; round < rounds; round++) {
    const before = await runner.spent();
    await runner.run(jobs);
    await rest(TAIL_MS, signal);
    const after = await runner.spent();
    programs.push((after.programsMs - before.programsMs) / jobs);
    held.push((after.allMs - before.allMs) / jobs - (programs.at(-1) ?? 0));
    bare.push(await runner.bareMs(WAYS[way], jobs) / jobs);
    say(`${way}, round ${round + 1} of ${rounds}`);
  }
  const name = `CPU per job in direct mode, ${way}`;
  return [{
    name: `${name}: job and supervisor`,
    unit: "ms",
    better: "lower",
    ours: { name: "time limit, cancel, log file, record of the end", samples: held },
    peers: [{ name: `bare ${WAYS[way]}`, samples: bare }],
    ...(way === "namespace" ? { target: TARGET_MS } : {}),
    notes: [],
  }, {
    name: `${name}: runner and agent`,
    unit: "ms",
    better: "lower",
    ours: { name: "one job after the other", samples: programs },
    peers: [],
    notes: [],
  }];
}

/** A runner in direct mode, in a control group of its own. Disposing removes both. */
class DirectRunner implements AsyncDisposable {
  readonly #directory: string;
  readonly #group: string;
  readonly #runner: Deno.ChildProcess;
  readonly #client: UnixClient;
  readonly #signal: AbortSignal;

  private constructor(
    { directory, group, runner, signal }: {
      readonly directory: string;
      readonly group: string;
      readonly runner: Deno.ChildProcess;
      readonly signal: AbortSignal;
    },
  ) {
    this.#directory = directory;
    this.#group = group;
    this.#runner = runner;
    this.#signal = signal;
    this.#client = new UnixClient(`${directory}/r.sock`);
  }

  /** Starts it; resolves when it is ready. */
  static async open(way: Way, { dist, scratch, signal }: DirectOptions): Promise<DirectRunner> {
    const directory = await Deno.makeTempDir({ dir: scratch, prefix: "direct-" });
    const group = `${await groupsMount()}/cicd-bench-${crypto.randomUUID()}`;
    for (const path of [group, `${group}/ours`, `${group}/bare`]) await Deno.mkdir(path);
    await Deno.mkdir(`${directory}/cache`);
    await Deno.writeTextFile(
      `${directory}/config.yaml`,
      `agents: child\nexecutor: direct\ndirect: { contain: ${way} }\n` +
        "idle_exit: 1h\nagent_idle_exit: 1h\n",
    );
    const runner = inGroup(`${group}/ours`, [
      ...[`${dist}/bin/cicd-runner`, "daemon", `--config=${directory}/config.yaml`],
      ...[`--socket=${directory}/r.sock`, `--state-dir=${directory}/state`],
      `--runtime-dir=${directory}/run`,
    ], { HOME: directory, DENO_DIR: `${directory}/cache` }).spawn();
    const stage = new DirectRunner({ directory, group, runner, signal });
    try {
      await stage.#ready(AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]));
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs jobs, one after the other. */
  async run(jobs: number): Promise<void> {
    for (let count = 0; count < jobs; count++) {
      const job = await this.#ask("POST", "/v1/jobs", { project: PROJECT, command: ["/bin/true"] });
      const wait = `/v1/jobs/${textOf(job, "id")}/wait?timeout=1m`;
      const ended = await this.#ask("GET", wait);
      if (textOf(ended, "state") !== "succeeded") {
        throw new Error(`The job ended as ${textOf(ended, "state")}: ${textOf(ended, "message")}`);
      }
    }
  }

  /** Returns the processor time so far: of the two programs, and of them with all jobs. */
  async spent(): Promise<{ readonly programsMs: number; readonly allMs: number }> {
    const programs = await Promise.all([this.#runner.pid, await this.#agentPid()].map(processMs));
    return {
      programsMs: programs.reduce((sum, ms) => sum + ms, 0),
      allMs: await groupMs(`${this.#group}/ours`),
    };
  }

  /** Runs a command so many times, one after the other; returns its processor time. */
  async bareMs(command: string, times: number): Promise<number> {
    const group = `${this.#group}/bare`;
    const loop = (count: number) =>
      inGroup(group, [
        "sh",
        "-c",
        `n=0; while [ $n -lt ${count} ]; do ${command}; n=$((n+1)); done`,
      ])
        .output();
    const before = await groupMs(group);
    const { success } = await loop(times);
    if (!success) throw new Error(`Cannot run "${command}"`);
    return await groupMs(group) - before;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    const pid = await this.#agentPid().catch(ignore("there was no job yet"));
    for (const each of [this.#runner.pid, pid]) {
      try {
        if (each !== undefined) Deno.kill(each, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    await this.#runner.status;
    // A group that has a process yet cannot be removed.
    await Promise.all(["ours", "bare"].map((name) => emptied(`${this.#group}/${name}`)));
    for (const name of ["ours", "bare", ""]) await Deno.remove(`${this.#group}/${name}`);
    await Deno.remove(this.#directory, { recursive: true });
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const signal = this.#signal;
    const answer = await sendJson(this.#client, { method, path, body, signal });
    return JSON.parse(await answer.text());
  }

  async #agentPid(): Promise<number> {
    const lock = `${this.#directory}/state/projects/${PROJECT}/cicd-agent.lock`;
    return Number(await Deno.readTextFile(lock));
  }

  async #ready(signal: AbortSignal): Promise<void> {
    while (true) {
      signal.throwIfAborted();
      try {
        using answer = await this.#client.send({ method: "GET", path: "/healthz", signal });
        if (answer.status === 200) return;
      } catch (error) {
        if (signal.aborted) throw error;
      }
      await rest(50, signal);
    }
  }
}

/** Returns a command that joins a group before anything else. */
function inGroup(
  group: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Deno.Command {
  return new Deno.Command("/bin/sh", {
    args: ["-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', group, ...argv],
    clearEnv: true,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...env },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
}

/** @throws {Error} If this machine has no control groups of version 2. */
async function groupsMount(): Promise<string> {
  for (const path of ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]) {
    const file = await Deno.stat(`${path}/cgroup.controllers`).catch(ignore("not mounted there"));
    if (file !== undefined) return path;
  }
  throw new Error("there are no control groups of version 2");
}

async function groupMs(group: string): Promise<number> {
  const text = await Deno.readTextFile(`${group}/cpu.stat`);
  return Number(/^usage_usec (\d+)$/m.exec(text)?.[1]) / 1_000;
}

/** Resolves once a group has no process; `cgroup.procs` leaves out those that are about to exit. */
async function emptied(group: string): Promise<void> {
  const signal = AbortSignal.timeout(START_TIMEOUT_MS);
  const isPopulated = async () =>
    /^populated 1$/m.test(await Deno.readTextFile(`${group}/cgroup.events`));
  while (await isPopulated()) await rest(20, signal);
}

/** Returns the processor time of a process, without that of its children. */
async function processMs(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`);
  // The name may contain spaces and parentheses; the times are fields 14 and 15.
  const [user, system] = text.slice(text.lastIndexOf(")") + 2).split(" ").slice(11, 13);
  return (Number(user) + Number(system)) * 1_000 / TICKS_PER_S;
}
