/**
 * The stage of a benchmark: a booted machine on which the built product is
 * installed as its users install it.
 *
 * @module
 */
import { toLines } from "./text_lines.ts";
import { bootMachine, type Machine } from "../tests/support/machine.ts";
import type { Comparison } from "./report.ts";

/** Options for {@linkcode Stage.open}. */
export interface StageOptions {
  /** A build: a directory with `bin/`, `lib/` and `install.sh`. */
  readonly dist: string;
  /** The bundle of `bench/driver/main.ts`. */
  readonly driver: string;
  /** The directory of wetty, for the row that measures it. */
  readonly wetty: string | undefined;
  /** A directory on a real disk, for the state of the machine's user. */
  readonly scratch: string;
  readonly progress: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Options for {@linkcode Stage.measure}. */
export interface MeasureOptions {
  readonly quick: boolean;
}

const RELEASE = "/opt/release";
const DRIVER = "/opt/bench/driver.js";
const WETTY = "/opt/bench/wetty";
/** The user who has the product. */
export const BENCH_USER = "dev";
const DISK = "/srv/disk";
const STATE = `/home/${BENCH_USER}/.local/state`;
const ROW_TIMEOUT_MS = 900_000;

/** No program may exit when idle during a measurement, and the queue must hold every job. */
const CONFIG = `idle_exit: 1h
agent_idle_exit: 1h
queue: { max_running: 8, max_queued: 20000 }
retention: { max_jobs: 1000000 }
`;

/** With its rate limit the journal would drop lines and be no fair peer. */
const JOURNALD = "[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\n";

/** A machine ready to be measured. Disposing removes it. */
export class Stage implements AsyncDisposable {
  readonly machine: Machine;
  readonly #options: StageOptions;
  readonly #disk: string;

  private constructor(machine: Machine, options: StageOptions, disk: string) {
    this.machine = machine;
    this.#options = options;
    this.#disk = disk;
  }

  /** Boots a machine and installs the product. */
  static async open(options: StageOptions): Promise<Stage> {
    const { dist, driver, wetty, progress, signal } = options;
    progress("boot");
    // On the machine's root, an overlay, directories and commits cost more than on a disk.
    const disk = await Deno.makeTempDir({ dir: options.scratch, prefix: "disk-" });
    const machine = await bootMachine({
      users: [BENCH_USER],
      binds: [
        { host: dist, machine: RELEASE },
        { host: driver, machine: DRIVER },
        { host: disk, machine: DISK, writable: true },
        ...(wetty === undefined ? [] : [{ host: wetty, machine: WETTY }]),
      ],
      signal,
    });
    try {
      progress("install");
      const as = { user: BENCH_USER, timeoutMs: 120_000 };
      await machine.run(["chown", BENCH_USER, DISK]);
      await machine.run(["mkdir", "-p", STATE], as);
      await machine.run(["mount", "--bind", DISK, STATE]);
      await machine.run(["mkdir", "-p", "/etc/systemd/journald.conf.d"]);
      await machine.run(["tee", "/etc/systemd/journald.conf.d/bench.conf"], { stdin: JOURNALD });
      await machine.run(["systemctl", "restart", "systemd-journald"]);
      await machine.run(["mkdir", "-p", ".config/cicd-toolkit"], as);
      await machine.run(["tee", ".config/cicd-toolkit/config.yaml"], { ...as, stdin: CONFIG });
      await machine.run(["sh", `${RELEASE}/install.sh`], as);
      return new Stage(machine, options, disk);
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      await Deno.remove(disk, { recursive: true });
      throw error;
    }
  }

  /**
   * Runs one benchmark inside the machine.
   *
   * @throws {Error} If it fails; the message ends with its last output.
   */
  async measure(row: string, { quick }: MeasureOptions): Promise<readonly Comparison[]> {
    const { progress, signal } = this.#options;
    const flags = ["--quiet", "--allow-all", "--no-config", "--no-lock", "--no-npm", "--no-remote"];
    await using child = await this.machine.spawn(
      ["deno", "run", ...flags, DRIVER, row, ...(quick ? ["--quick"] : [])],
      { user: BENCH_USER, env: { DENO_DIR: "/home/dev/.cache/bench", NO_COLOR: "1" } },
    );
    const late = AbortSignal.any([signal, AbortSignal.timeout(ROW_TIMEOUT_MS)]);
    const onAbort = () => void child.killAll();
    late.addEventListener("abort", onAbort, { once: true });
    const said: string[] = [];
    const listening = (async () => {
      for await (const line of child.stderr.pipeThrough(toLines())) {
        said.splice(0, said.length - 20);
        said.push(line);
        progress(line);
      }
    })();
    const stdout = await new Response(child.stdout).text();
    await listening;
    const { code } = await child.status;
    late.removeEventListener("abort", onAbort);
    late.throwIfAborted();
    if (code !== 0) throw new Error(`Cannot measure "${row}": ${said.join("\n")}`);
    return JSON.parse(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
    await Deno.remove(this.#disk, { recursive: true });
  }
}
