/**
 * A machine with a real systemd, for tests.
 *
 * A Debian root is booted in a container with its own first process, users
 * and network. It starts within a second or two, and nothing it does stays.
 * The kernel's cpu, memory and pids controllers are there only if the host
 * has them in cgroup v2.
 *
 * @module
 */
import { messageOf } from "@lib/core/errors.ts";
import { type Finished, readIfThere, runOnHost } from "./machine_host.ts";
import {
  type MachineDirectory,
  newMachineDirectory,
  removeMachine,
  sweepMachines,
} from "./machine_leftovers.ts";
import {
  collect,
  type ExecOptions,
  type MachineAccount,
  type MachineProcess,
  spawnInside,
  type SpawnOptions,
} from "./machine_process.ts";
import { ensureMachineRoot } from "./machine_root.ts";
import { halt, type MachineBind, supervise, type Supervised } from "./machine_supervisor.ts";
import { waitFor } from "./machine_wait.ts";

export type { Finished } from "./machine_host.ts";
export type {
  ExecOptions,
  MachineAccount,
  MachineProcess,
  SpawnOptions,
} from "./machine_process.ts";
export type { MachineBind } from "./machine_supervisor.ts";

/** A user of a machine. */
export interface MachineUser {
  readonly name: string;
  /** Starts the user's manager without a login. @default {true} */
  readonly linger?: boolean;
}

/** Options for {@linkcode bootMachine}. */
export interface MachineOptions {
  /** Numbered from uid 1000 on in this order. @default {["dev"]} */
  readonly users?: readonly (string | MachineUser)[];
  readonly binds?: readonly MachineBind[];
  /** Where in the machine this project's checkout is to be seen, read-only. */
  readonly checkout?: string;
  /** Ends every wait of the machine; it still has to be disposed. */
  readonly signal?: AbortSignal;
}

/** Options for {@linkcode Machine.waitFor}. */
export interface MachineWaitOptions {
  /** @default {60_000} */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The directory of this project on the host. */
const CHECKOUT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

const BOOT_TIMEOUT_MS = 60_000;

/**
 * Boots a machine and waits until its users' managers answer.
 *
 * The first call on a host makes the root, which takes half a minute. Machines
 * that a killed run left are removed first. Deno is `/usr/local/bin/deno`.
 *
 * @throws {Error} If it does not come up; the console's end is in the message.
 */
export async function bootMachine(options: MachineOptions = {}): Promise<Machine> {
  const signal = options.signal ?? new AbortController().signal;
  await sweepMachines(signal);
  const lower = await ensureMachineRoot(signal);
  const directory = await newMachineDirectory();
  const machine = new Machine(directory, options, signal);
  try {
    for (const path of [directory.upper, directory.work, directory.root]) {
      await Deno.mkdir(path, { recursive: true });
    }
    const layers = `lowerdir=${lower},upperdir=${directory.upper},workdir=${directory.work}`;
    await runOnHost(["mount", "-t", "overlay", "-o", layers, directory.name, directory.root], {
      signal,
    });
    await machine.addUsers();
    await machine.start();
    return machine;
  } catch (error) {
    await machine[Symbol.asyncDispose]();
    throw error;
  }
}

/** A running machine. Disposing is a power cut and leaves nothing. */
export class Machine implements AsyncDisposable {
  readonly #directory: MachineDirectory;
  readonly #options: MachineOptions;
  readonly #signal: AbortSignal;
  readonly #users: readonly (MachineAccount & { readonly linger: boolean })[];
  #running: Supervised | undefined;

  /** Use {@linkcode bootMachine}. */
  constructor(directory: MachineDirectory, options: MachineOptions, signal: AbortSignal) {
    this.#directory = directory;
    this.#options = options;
    this.#signal = signal;
    this.#users = (options.users ?? ["dev"]).map((user, index) => {
      const { name, linger = true } = typeof user === "string" ? { name: user } : user;
      return { name, linger, uid: 1_000 + index, home: `/home/${name}` };
    });
  }

  /** Also the host name inside. */
  get name(): string {
    return this.#directory.name;
  }

  /** The account of one of the machine's users, or of `root`. */
  account(name: string): MachineAccount {
    if (name === "root") return { name, uid: 0, home: "/root" };
    const found = this.#users.find((user) => user.name === name);
    if (found === undefined) throw new RangeError(`Cannot be user "${name}": there is none`);
    return found;
  }

  /** The path by which the host reaches a file of the machine; `/run` and `/tmp` too. */
  hostPath(path: string): string {
    return `/proc/${this.#up().initPid}/root${path}`;
  }

  /** Starts a program; its output must be read. */
  async spawn(argv: readonly string[], options: SpawnOptions = {}): Promise<MachineProcess> {
    const account = this.account(options.user ?? "root");
    const { initPid, cgroup } = this.#up();
    return await spawnInside(argv, { initPid, cgroup, account }, options);
  }

  /**
   * Runs a program to its end.
   *
   * What it leaves running in the background stays until the machine ends.
   *
   * @returns Its exit code, whatever it is.
   * @throws {Error} If the time is up; the output so far is in the message.
   */
  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<Finished> {
    const { stdin = "", timeoutMs = 60_000, signal, ...rest } = options;
    const child = await this.spawn(argv, { ...rest, stdin: stdin === "" ? "null" : "piped" });
    const what = `"${argv.join(" ")}" in ${this.name}`;
    return await collect(child, what, { stdin, timeoutMs, signal: this.#both(signal) });
  }

  /**
   * As {@linkcode exec}, for programs that have to succeed.
   *
   * @returns Standard output, without the last line end.
   * @throws {Error} If the exit code is not 0.
   */
  async run(argv: readonly string[], options: ExecOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.exec(argv, options);
    if (code === 0) return stdout.replace(/\n$/, "");
    throw new Error(`Cannot run "${argv.join(" ")}": it exited with ${code}\n${stdout}${stderr}`);
  }

  /** Asks `probe` until it gives something; see `machine_wait.ts`. */
  async waitFor<T>(
    what: string,
    probe: () => T | Promise<T>,
    { timeoutMs = 60_000, signal }: MachineWaitOptions = {},
  ): Promise<Exclude<T, undefined | false>> {
    return await waitFor(what, probe, { timeoutMs, signal: this.#both(signal) });
  }

  /** Stops the machine and boots it again on the same disk. */
  async restart(how: "orderly" | "power_cut"): Promise<void> {
    await halt(this.#up(), how);
    this.#running = undefined;
    await this.start();
  }

  /** The last of what the machine printed on its console. */
  async console(): Promise<string> {
    return (await readIfThere(this.#directory.console))?.slice(-8_000) ?? "";
  }

  /** Makes the users, on a machine that is off. */
  async addUsers(): Promise<void> {
    const inRoot = ["chroot", this.#directory.root];
    const lingering = `${this.#directory.root}/var/lib/systemd/linger`;
    await Deno.mkdir(lingering, { recursive: true });
    for (const { name, uid, linger } of this.#users) {
      const id = ["--uid", `${uid}`, "--user-group", "--create-home", "--shell", "/bin/bash"];
      await runOnHost([...inRoot, "useradd", ...id, "--", name], { signal: this.#signal });
      if (linger) await Deno.writeTextFile(`${lingering}/${name}`, "");
    }
  }

  /** Boots a machine that is off. */
  async start(): Promise<void> {
    const wait = { timeoutMs: BOOT_TIMEOUT_MS, signal: this.#signal };
    try {
      this.#running = await supervise(this.#directory, {
        binds: this.#binds(),
        signal: this.#signal,
      });
      await waitFor("the system's manager", () => this.#managerIsUp("root"), wait);
      for (const user of this.#users.filter((user) => user.linger)) {
        await waitFor(`the manager of ${user.name}`, () => this.#managerIsUp(user.name), wait);
      }
    } catch (error) {
      throw new Error(`Cannot boot ${this.name}: ${messageOf(error)}\n${await this.console()}`, {
        cause: error,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeMachine(this.#directory, AbortSignal.timeout(60_000));
    await this.#running?.child.status;
    this.#running = undefined;
  }

  #up(): Supervised {
    if (this.#running === undefined) throw new Error(`Cannot use ${this.name}: it is off`);
    return this.#running;
  }

  #binds(): readonly MachineBind[] {
    const { binds = [], checkout } = this.#options;
    return [
      { host: Deno.execPath(), machine: "/usr/local/bin/deno" },
      ...(checkout === undefined ? [] : [{ host: CHECKOUT, machine: checkout }]),
      ...binds,
    ];
  }

  async #managerIsUp(user: string): Promise<boolean> {
    const scope = user === "root" ? "--system" : "--user";
    const argv = ["systemctl", scope, "is-system-running", "--wait"];
    const { stdout } = await this.exec(argv, { user });
    return /^(running|degraded)$/m.test(stdout);
  }

  #both(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#signal : AbortSignal.any([this.#signal, signal]);
  }
}
