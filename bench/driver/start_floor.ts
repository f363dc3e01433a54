/**
 * The floor under an accepted job's first instruction: one program that takes the kernel's lock of
 * control groups as soon as it is asked, commits one row, and starts the unit.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { rmSync } from "node:fs";
import { launch } from "./programs.ts";

/** On the disk of the product's state. */
const PATH = `${Deno.env.get("HOME") ?? "/"}/.local/state/bench-start.db`;

/** Starts bare units behind the lock and a commit. */
export class StartFloor implements Disposable {
  readonly #db: DatabaseSync;
  readonly #start: (beforehand: () => void) => Promise<number>;
  readonly #still: Deno.ChildProcess;
  readonly #processes: string;
  #accepted: number[] = [];

  private constructor(
    db: DatabaseSync,
    start: (beforehand: () => void) => Promise<number>,
    still: Deno.ChildProcess,
    processes: string,
  ) {
    this.#db = db;
    this.#start = start;
    this.#still = still;
    this.#processes = processes;
  }

  /** @param start Makes the bare call, after what it is given; resolves with the time of both. */
  static async open(start: (beforehand: () => void) => Promise<number>): Promise<StartFloor> {
    rmSync(PATH, { force: true });
    const db = new DatabaseSync(PATH);
    for (const pragma of ["journal_mode=WAL", "synchronous=FULL"]) {
      db.prepare(`PRAGMA ${pragma}`).all();
    }
    db.exec("CREATE TABLE jobs (id INTEGER PRIMARY KEY, body TEXT)");
    // A process in a control group of the user's, to be moved to where it is.
    const still = launch("systemd-run", "--user", "--scope", "--quiet", "sleep", "infinity");
    return new StartFloor(db, start, still, await processesOf(still.pid));
  }

  /** Returns milliseconds from the commit to the first instruction, of starts since the last call. */
  takeAccepted(): readonly number[] {
    const taken = this.#accepted;
    this.#accepted = [];
    return taken;
  }

  async start(): Promise<number> {
    let committedMs = 0;
    const totalMs = await this.#start(() => {
      const begun = performance.now();
      void Deno.writeTextFile(this.#processes, String(this.#still.pid));
      this.#db.prepare("INSERT INTO jobs (body) VALUES (?)").run("x".repeat(700));
      committedMs = performance.now() - begun;
    });
    this.#accepted.push(totalMs - committedMs);
    return totalMs;
  }

  [Symbol.dispose](): void {
    this.#db.close();
    this.#still.kill("SIGKILL");
  }
}

/** Returns the list of processes of a control group, once the process is in a scope of its own. */
async function processesOf(pid: number): Promise<string> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    const text = await Deno.readTextFile(`/proc/${pid}/cgroup`);
    const legacy = /^\d+:name=systemd:(\/.+\.scope)$/m.exec(text)?.[1];
    const unified = /^0::(\/.+\.scope)$/m.exec(text)?.[1];
    if (legacy?.includes("/run-") === true) return `/sys/fs/cgroup/systemd${legacy}/cgroup.procs`;
    if (unified?.includes("/run-") === true) return `/sys/fs/cgroup${unified}/cgroup.procs`;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Cannot find the scope of process ${pid}`);
}
