/**
 * Takes the steps of an installation one by one, or plans them.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { messageOf } from "@lib/core/errors.ts";
import type { DoctorPorts } from "@lib/features/install/facts.ts";

/** The account that runs the runner. */
export interface Owner {
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly configDir: string;
  readonly stateDir: string;
  readonly cacheDir: string;
  /** `$XDG_DATA_HOME`, where systemd keeps the stamps of timers. */
  readonly dataHome: string;
  readonly runtimeDir: string;
  /** The start of a command line that runs the rest as the owner; empty if the caller is it. */
  readonly asOwner: readonly string[];
}

/** The owner of an installation, and its directories. */
export interface InstallSubject {
  /** Units for all users of the machine, rather than for the owner alone. */
  readonly system: boolean;
  /** `undefined`: units for all users, and no runner is set up. */
  readonly owner: Owner | undefined;
  /** Holds the unit files of this version. */
  readonly unitsDir: string;
  /** Receives the units: `~/.config/systemd/user`. */
  readonly unitDir: string;
  /** Holds the installed programs; `undefined` in a checkout. */
  readonly binDir: string | undefined;
}

/** The machine, as the installation changes it. */
export interface InstallPorts extends Pick<DoctorPorts, "run" | "readText" | "stat"> {
  readonly subject: InstallSubject;
  readonly clock: Clock;
  /** Names in a directory; none if it does not exist. */
  readonly list: (path: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Puts a file in place by rename and makes its directory; others see the old or the new one. */
  readonly writeText: (path: string, text: string, signal: AbortSignal) => Promise<void>;
  /** Removes a file, and its drop-in directory if that is empty then; does nothing if there is none. */
  readonly removeFile: (path: string, signal: AbortSignal) => Promise<void>;
}

/** One thing that was done, or would be. */
export interface InstallStep {
  readonly kind: "make" | "write" | "remove" | "run" | "try" | "check";
  /** The path, or the command line. */
  readonly what: string;
  /** `warning`: it failed or was left out, and the installation is of use without it. */
  readonly outcome: "done" | "planned" | "warning" | "failed";
  /** Why it failed, or its result. */
  readonly detail?: string;
}

/** Options for {@linkcode Steps}. */
export interface StepsOptions {
  /** Reports what would be done, and does nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

/** The importance of a step. */
type StepWeight =
  /** The installation failed without it. */
  | "needed"
  /** A failure is worth a warning. */
  | "useful"
  /** A failure only means that there was nothing to do. */
  | "if_any";

/** The steps taken so far. A step that fails is reported, and those after it are still taken. */
export class Steps {
  readonly taken: InstallStep[] = [];
  readonly ports: InstallPorts;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;

  constructor(ports: InstallPorts, { dryRun, signal }: StepsOptions) {
    this.ports = ports;
    this.dryRun = dryRun;
    this.signal = signal;
  }

  /**
   * Takes a step, or plans it.
   *
   * @param make Returns its result, if that is worth reporting.
   */
  async take(
    kind: InstallStep["kind"],
    what: string,
    make: () => Promise<string | undefined | void>,
    weight: StepWeight = "needed",
  ): Promise<void> {
    const { signal } = this;
    if (this.dryRun) return void this.taken.push({ kind, what, outcome: "planned" });
    signal.throwIfAborted();
    try {
      const detail = await make();
      this.taken.push({ kind, what, outcome: "done", ...(detail ? { detail } : {}) });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (weight === "if_any") return;
      const outcome = weight === "useful" ? "warning" : "failed";
      this.taken.push({ kind, what, outcome, detail: messageOf(error) });
    }
  }

  /** Runs a command as the caller. */
  async run(argv: readonly string[]): Promise<void> {
    await this.take("run", argv.join(" "), () => this.#run(argv));
  }

  /** Runs a command as the owner. */
  async runAsOwner(argv: readonly string[], weight?: StepWeight): Promise<void> {
    await this.take("run", argv.join(" "), () => this.#runAsOwner(argv), weight);
  }

  /** Runs `systemctl --user` as the owner. */
  async systemctl(args: readonly string[], weight?: StepWeight): Promise<void> {
    await this.runAsOwner(["systemctl", "--user", ...args], weight);
  }

  /** Makes a directory that only the owner can access. */
  async makePrivateDir(path: string): Promise<void> {
    if (await this.exists(path)) return;
    await this.take("make", path, async () => {
      await this.#runAsOwner(["mkdir", "-p", path.slice(0, path.lastIndexOf("/"))]);
      await this.#runAsOwner(["mkdir", "-m", "700", path]);
    });
  }

  /** Removes a file or a tree as the owner. */
  async removeTree(path: string): Promise<void> {
    if (!await this.exists(path)) return;
    await this.take("remove", path, () => this.#runAsOwner(["rm", "-rf", path]));
  }

  /** Removes a file. */
  async removeFile(path: string): Promise<void> {
    await this.take("remove", path, () => this.ports.removeFile(path, this.signal));
  }

  /** Returns what a command of the owner prints, also in a dry run; `undefined` if it fails. */
  async query(argv: readonly string[]): Promise<string | undefined> {
    const asOwner = this.ports.subject.owner?.asOwner ?? [];
    const ended = await this.ports.run([...asOwner, ...argv], this.signal);
    return ended?.code === 0 ? ended.stdout : undefined;
  }

  async exists(path: string): Promise<boolean> {
    return (await this.ports.stat(path, this.signal)).kind === "found";
  }

  async #runAsOwner(argv: readonly string[]): Promise<void> {
    await this.#run([...this.ports.subject.owner?.asOwner ?? [], ...argv]);
  }

  async #run(argv: readonly string[]): Promise<void> {
    const ended = await this.ports.run(argv, this.signal);
    if (ended === undefined) throw new Error(`${argv[0]} is not installed`);
    if (ended.code !== 0) throw new Error(ended.stderr.trim() || `exit code ${ended.code}`);
  }
}
