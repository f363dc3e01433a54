/**
 * The units of the programs, as an upgrade restarts them.
 *
 * A new release is tried from drop-ins in the runtime directory: after a power cut they are gone, and
 * the machine comes up with the release that was there before.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { removeIfThere } from "@lib/foundations/files/records.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";

/** Options for {@linkcode UserUnits}. */
export interface UserUnitsOptions {
  readonly run: RunCommand;
  /** Has `XDG_RUNTIME_DIR` and `PATH`. */
  readonly env: Readonly<Record<string, string>>;
  /** The directory of the installed units. */
  readonly unitDir: string;
}

/** A service that is active. */
export interface ActiveService {
  readonly unit: string;
  readonly pid: number;
}

/** The state of the programs' units. */
export interface UnitsSeen {
  /** The runner's service. */
  readonly runner?: ActiveService | undefined;
  /** The agents' services. */
  readonly agents: readonly ActiveService[];
  /** The sockets that listen. */
  readonly sockets: readonly string[];
}

const RUNNER = "cicd-runner.service";
const AGENTS = "cicd-agent@*.service";
const SOCKETS = ["cicd-runner.socket", "cicd-agent@*.socket"];
const GUARD = "cicd-upgrade-guard";
const WANTS = "default.target.wants";
/** Sorted after every other one. */
const DROP_IN = "zz-cicd-upgrade.conf";
const COMMAND_MS = 30_000;
/** More than `TimeoutStopSec=` of the units. */
const STOP_MS = 60_000;
const JOURNAL_LINES = 15;

/** The units of one user. */
export class UserUnits {
  readonly #run: RunCommand;
  readonly #env: Readonly<Record<string, string>>;
  readonly #unitDir: string;

  constructor({ run, env, unitDir }: UserUnitsOptions) {
    this.#run = run;
    this.#env = env;
    this.#unitDir = unitDir;
  }

  /** Returns true if a service manager has the runner's units. */
  async areLoaded(signal: AbortSignal): Promise<boolean> {
    const ended = await this.#query(["show", "--property=LoadState", "--value", RUNNER], signal);
    return ended?.trim() === "loaded";
  }

  /** Returns the state of the units. */
  async look(signal: AbortSignal): Promise<UnitsSeen> {
    const services = await this.#show([RUNNER, AGENTS], signal);
    const sockets = await this.#show(SOCKETS, signal);
    const active = services.filter(({ ActiveState, MainPID }) =>
      ActiveState === "active" && MainPID !== "0"
    ).map(({ Id = "", MainPID }) => ({ unit: Id, pid: Number(MainPID) }));
    return {
      runner: active.find(({ unit }) => unit === RUNNER),
      agents: active.filter(({ unit }) => unit !== RUNNER),
      sockets: sockets.flatMap(({ Id = "", ActiveState }) => ActiveState === "active" ? [Id] : []),
    };
  }

  /** Lets the services take their programs from `binDir` from their next start on. */
  async divert(binDir: string, { agents }: UnitsSeen, signal: AbortSignal): Promise<void> {
    const units = [RUNNER, "cicd-agent@.service", ...agents.map(({ unit }) => unit)];
    for (const unit of units) {
      // A template has no environment to ask for; it is that of the runner, unless it was edited.
      const asked = unit.includes("@.") ? RUNNER : unit;
      const show = ["show", "--property=Environment", "--value", asked];
      const path = pathIn(await this.#query(show, signal) ?? "");
      const value = `PATH=${binDir}${path === "" ? "" : `:${path}`}`;
      const directory = `${this.#dropIns()}/${unit}.d`;
      await Deno.mkdir(directory, { recursive: true });
      const text = `[Service]\nEnvironment="${escaped(value)}"\n`;
      await Deno.writeTextFile(`${directory}/${DROP_IN}`, text);
    }
    await this.#must(["daemon-reload"], signal);
  }

  /** Ends {@linkcode UserUnits.divert}, also that of an earlier process; `false` if there was none. */
  async undivert(signal: AbortSignal): Promise<boolean> {
    let found = false;
    for await (const { name } of entriesOf(this.#dropIns())) {
      if (!/^cicd-(?:runner|agent@.*)\.service\.d$/.test(name)) continue;
      const directory = `${this.#dropIns()}/${name}`;
      const isOurs = await Deno.stat(`${directory}/${DROP_IN}`).then(() => true, () => false);
      if (!isOurs) continue;
      found = true;
      await removeIfThere(`${directory}/${DROP_IN}`);
      await Deno.remove(directory).catch(unlessInUse);
    }
    if (found) await this.#must(["daemon-reload"], signal);
    return found;
  }

  /** Restarts the services that run. Does not wait: one that is broken may take a minute. */
  async restart(signal: AbortSignal): Promise<void> {
    await this.#must(["try-restart", "--no-block", RUNNER, AGENTS], signal);
  }

  /** Stops the runner, and lets no client start it. Jobs go on. */
  async stop(signal: AbortSignal): Promise<void> {
    await this.#must(["stop", "cicd-runner.socket", RUNNER], signal, STOP_MS);
  }

  /** Starts the sockets and services that were there, however they ended since. */
  async start({ runner, sockets }: UnitsSeen, signal: AbortSignal): Promise<void> {
    await this.#query(["reset-failed", RUNNER, AGENTS, ...SOCKETS], signal);
    if (sockets.length > 0) await this.#must(["start", ...sockets], signal);
    if (runner !== undefined) await this.#must(["start", "--no-block", RUNNER], signal);
    await this.#must(["try-restart", "--no-block", AGENTS], signal);
  }

  /**
   * Runs a command after `afterMs`, and after the next boot, unless {@linkcode UserUnits.unguard} is
   * called before: whatever ends this process, the trial ends too.
   */
  async guard(argv: readonly string[], afterMs: number, signal: AbortSignal): Promise<void> {
    await this.unguard(signal);
    const env = this.#env;
    const words = argv.map((word) => `"${escaped(word)}"`).join(" ");
    const path = `${this.#unitDir}/${GUARD}-boot.service`;
    await Deno.mkdir(`${this.#unitDir}/${WANTS}`, { recursive: true });
    // The colon: no variables in it.
    const text = "[Unit]\nDescription=cicd-toolkit: ends an upgrade that was interrupted\n" +
      `[Service]\nType=oneshot\nEnvironment="PATH=${escaped(env["PATH"] ?? "")}"\n` +
      `ExecStart=:${words}\n`;
    await Deno.writeTextFile(path, text);
    await Deno.symlink(path, `${this.#unitDir}/${WANTS}/${GUARD}-boot.service`);
    const timer = [`--on-active=${Math.ceil(afterMs / 1_000)}s`, "--timer-property=AccuracySec=1s"];
    const command = ["systemd-run", "--user", "--quiet", "--collect", `--unit=${GUARD}`];
    const setting = `--setenv=PATH=${env["PATH"] ?? ""}`;
    await this.#run([...command, setting, ...timer, "--", ...argv], {
      env,
      timeoutMs: COMMAND_MS,
      signal,
    });
  }

  /** Ends {@linkcode UserUnits.guard}. */
  async unguard(signal: AbortSignal): Promise<void> {
    await removeIfThere(`${this.#unitDir}/${WANTS}/${GUARD}-boot.service`);
    await removeIfThere(`${this.#unitDir}/${GUARD}-boot.service`);
    // Not the service: it may be this process.
    await this.#query(["stop", `${GUARD}.timer`], signal);
  }

  /** Returns the last lines of the runner in the journal since a time. */
  async journal(sinceMs: number, signal: AbortSignal): Promise<readonly string[]> {
    const since = `--since=@${Math.floor(sinceMs / 1_000)}`;
    const argv = ["journalctl", "--user", "-u", RUNNER, since, "-o", "cat", "--no-pager", "-q"];
    const { code, stdout } = await this.#run([...argv, "-n", String(JOURNAL_LINES)], {
      env: this.#env,
      timeoutMs: COMMAND_MS,
      signal,
    });
    return code === 0 ? stdout.split("\n").filter((line) => line.trim() !== "") : [];
  }

  #dropIns(): string {
    return `${this.#env["XDG_RUNTIME_DIR"] ?? "/nonexistent"}/systemd/user`;
  }

  async #show(
    units: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly Readonly<Record<string, string>>[]> {
    const text = await this.#query(["show", "--property=Id,ActiveState,MainPID", ...units], signal);
    return (text ?? "").trim().split("\n\n").map((block) =>
      Object.fromEntries(
        block.split("\n").map((line) => {
          const at = line.indexOf("=");
          return [line.slice(0, at), line.slice(at + 1)];
        }),
      )
    );
  }

  async #query(args: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    try {
      const { code, stdout } = await this.#systemctl(args, signal, COMMAND_MS);
      return code === 0 ? stdout : undefined;
    } catch (error) {
      if (error instanceof CicdError && error.code === "io_failed") return undefined;
      throw error;
    }
  }

  async #must(args: readonly string[], signal: AbortSignal, timeoutMs = COMMAND_MS): Promise<void> {
    const { code, stderr } = await this.#systemctl(args, signal, timeoutMs);
    if (code === 0) return;
    const reason = stderr.trim().split("\n")[0] || `exit code ${code}`;
    throw new CicdError("systemd_unavailable", `Cannot run systemctl ${args.join(" ")}: ${reason}`);
  }

  #systemctl(args: readonly string[], signal: AbortSignal, timeoutMs: number) {
    return this.#run(["systemctl", "--user", ...args], { env: this.#env, timeoutMs, signal });
  }
}

/** Escapes a text for a quoted word of a unit file. */
function escaped(text: string): string {
  return text.replaceAll(/[\\"]/g, "\\$&").replaceAll("%", "%%");
}

/** Returns the value of PATH in what systemctl shows of an environment; empty if there is none. */
function pathIn(environment: string): string {
  const [, quoted, plain] = /(?:^|\s)(?:"PATH=((?:[^"\\]|\\.)*)"|PATH=(\S*))/.exec(environment) ??
    [];
  return quoted?.replaceAll(/\\(.)/g, "$1") ?? plain?.trim() ?? "";
}

async function* entriesOf(path: string): AsyncGenerator<Deno.DirEntry> {
  try {
    yield* Deno.readDir(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function unlessInUse(error: unknown): void {
  const isInUse = error instanceof Error && "code" in error && error.code === "ENOTEMPTY";
  if (!isInUse && !(error instanceof Deno.errors.NotFound)) throw error;
}
