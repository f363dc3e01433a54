/**
 * Takes the steps of an installation one by one, or plans them.
 *
 * @module
 */
import type { InstallPorts, InstallStep } from "@lib/features/install/install_ports.ts";

/** Options for {@linkcode Steps}. */
export interface StepsOptions {
  /** Reports what would be done, and does nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

/** What to take a step for. */
export type StepWeight =
  /** The installation failed without it. */
  | "needed"
  /** A failure is worth a warning. */
  | "useful"
  /** A failure says only that there was nothing to do. */
  | "if_any";

/** The steps taken so far. A step that fails is reported, and those after it are still taken. */
export class Steps {
  readonly taken: InstallStep[] = [];
  readonly #ports: InstallPorts;
  readonly #options: StepsOptions;

  constructor(ports: InstallPorts, options: StepsOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /**
   * Takes a step, or plans it.
   *
   * @param make Returns what came of it, if that is worth telling.
   */
  async take(
    kind: InstallStep["kind"],
    what: string,
    make: () => Promise<string | undefined | void>,
    weight: StepWeight = "needed",
  ): Promise<void> {
    const { dryRun, signal } = this.#options;
    if (dryRun) return void this.taken.push({ kind, what, outcome: "planned" });
    signal.throwIfAborted();
    try {
      const detail = await make();
      this.taken.push({ kind, what, outcome: "done", ...(detail ? { detail } : {}) });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (weight === "if_any") return;
      const detail = error instanceof Error ? error.message : String(error);
      const outcome = weight === "useful" ? "warning" : "failed";
      this.taken.push({ kind, what, outcome, detail });
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

  /** Makes a directory for the owner alone. */
  async makePrivateDir(path: string): Promise<void> {
    if (await this.exists(path)) return;
    await this.take("make", path, async () => {
      await this.#runAsOwner(["mkdir", "-p", path.slice(0, path.lastIndexOf("/"))]);
      await this.#runAsOwner(["mkdir", "-m", "700", path]);
    });
  }

  /** Removes a file or a tree that is the owner's. */
  async removeTree(path: string): Promise<void> {
    if (!await this.exists(path)) return;
    await this.take("remove", path, () => this.#runAsOwner(["rm", "-rf", path]));
  }

  /** Whether a path exists. */
  async exists(path: string): Promise<boolean> {
    return (await this.#ports.stat(path, this.#options.signal)).kind === "found";
  }

  async #runAsOwner(argv: readonly string[]): Promise<void> {
    await this.#run([...this.#ports.subject.owner?.asOwner ?? [], ...argv]);
  }

  async #run(argv: readonly string[]): Promise<void> {
    const ended = await this.#ports.run(argv, this.#options.signal);
    if (ended === undefined) throw new Error(`there is no ${argv[0]} on this machine`);
    if (ended.code !== 0) throw new Error(ended.stderr.trim() || `exit code ${ended.code}`);
  }
}
