/**
 * Tries a release with the jobs that are under way, and keeps it or goes back.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { counted } from "@lib/core/count.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { restoreSchema } from "@lib/foundations/store/schema_rollback.ts";
import { lockState } from "@lib/foundations/store/state_lock.ts";
import {
  type AskRunner,
  type Before,
  type GateOutcome,
  lookBefore,
  passGate,
} from "@lib/features/install/upgrade/gate.ts";
import {
  type Installation,
  readRelease,
  releaseAt,
} from "@lib/features/install/upgrade/installed.ts";
import {
  type Pending,
  readPending,
  removePending,
  writePending,
} from "@lib/features/install/upgrade/pending.ts";
import { bringUpToDate, pruneReleases, switchTo } from "@lib/features/install/upgrade/switch.ts";
import type { UserUnits } from "@lib/features/install/upgrade/units.ts";

/** The machine, as a trial sees and changes it. */
export interface TrialPorts {
  readonly run: RunCommand;
  readonly env: Readonly<Record<string, string>>;
  readonly units: UserUnits;
  readonly clock: Clock;
  /** Makes what asks the runner at a socket. */
  readonly askAt: (socket: string) => AskRunner;
  /** The directory of the installed units. */
  readonly unitDir: string;
  /** The command line of this program. */
  readonly self: readonly string[];
  /** Time for the new runner to answer and to take over the jobs. */
  readonly gateMs: number;
  /** Shows what is being done. */
  readonly doing: (what: string) => void;
  /** Tells something that stays of interest. */
  readonly note: (text: string) => void;
  readonly signal: AbortSignal;
}

/** The end of a trial. */
export type TrialEnd =
  | { readonly kind: "kept" }
  | {
    readonly kind: "rolled_back";
    readonly reason: string;
    readonly journal: readonly string[];
    readonly problem: string | undefined;
  };

/** Time for the way back, which no signal ends. */
const BACK_MS = 5 * 60_000;
/** Time for the release before to answer again, at least. */
const BACK_GATE_MS = 60_000;

/** Tries the release `pending.to`. */
export async function tryOut(
  installation: Installation,
  pending: Pending,
  ports: TrialPorts,
): Promise<TrialEnd> {
  const { home, prefix } = installation;
  const { units, gateMs, doing, signal } = ports;
  const { before } = pending;
  await writePending(installation, pending);
  try {
    const recover = [...ports.self, "upgrade", "--recover", "--prefix", prefix];
    await units.guard(recover, gateMs * 2 + BACK_MS, signal);
    const release = await requireRelease(installation, pending.to);
    doing(`trying ${release}: restarting the programs`);
    await units.divert(`${home}/releases/${pending.to}/bin`, before.units, signal);
    await units.restart(signal);
    doing(`trying ${release}: waiting for the runner and ${counted(before.jobs.length, "job")}`);
    const tried = await gate(installation, pending, { to: pending.to, before }, ports);
    if (tried.kind === "unhealthy") return await goBack(installation, pending, tried.reason, ports);
    await switchTo(installation, { current: pending.to, previous: pending.from });
    return await finish(installation, pending, ports);
  } catch (error) {
    const reason = signal.aborted ? "the upgrade was interrupted" : messageOf(error);
    return await goBack(installation, pending, reason, ports);
  }
}

/**
 * Ends the trial of an earlier process: forward, if its release is the one in use; not at all, if
 * it is another one than before; else back.
 *
 * @returns What was done; `undefined` if there was none.
 */
export async function recover(
  installation: Installation,
  ports: TrialPorts,
): Promise<string | undefined> {
  const pending = await readPending(installation);
  if (pending === undefined) {
    await ports.units.undivert(ports.signal);
    return undefined;
  }
  const current = await releaseAt(installation, "current");
  if (current !== undefined && current.id !== pending.from && current.id !== pending.to) {
    await endTrial(installation, pending, ports);
    return `an upgrade was interrupted: release ${current.info.version} was installed since, and stays`;
  }
  const end = current?.id === pending.to
    ? await finish(installation, pending, ports)
    : await goBack(installation, pending, "the upgrade was interrupted", ports);
  const was = "an upgrade was interrupted:";
  if (end.kind === "kept") {
    return `${was} it is finished now, with release ${current?.info.version}`;
  }
  return end.problem === undefined
    ? `${was} the release before is in use`
    : `${was} the release before is in use, but ${end.problem}`;
}

/** Lets the programs run from `current`, whatever release and tables another installer left there. */
async function endTrial(
  installation: Installation,
  pending: Pending,
  { units, signal }: TrialPorts,
): Promise<void> {
  if (await units.undivert(signal)) await units.restart(signal);
  await units.start(pending.before.units, signal);
  await units.unguard(signal);
  await removePending(installation);
}

/** After `current` was switched: the programs are started from there, with their own units. */
async function finish(
  installation: Installation,
  pending: Pending,
  ports: TrialPorts,
): Promise<TrialEnd> {
  const { units, doing, signal } = ports;
  doing("installing the units");
  try {
    const before = await lookBefore(ports.askAt(pending.socket), units, signal);
    await units.undivert(signal);
    await bringUpToDate(installation, ports.unitDir, ports);
    const kept = await gate(installation, pending, {
      to: pending.to,
      // Whether and when the installation restarted which program is its own affair.
      before: { ...before, pid: undefined, units: { ...before.units, agents: [] } },
    }, ports);
    if (kept.kind === "unhealthy") throw new CicdError("io_failed", kept.reason);
  } catch (error) {
    const reason = signal.aborted ? "the upgrade was interrupted" : messageOf(error);
    return await goBack(installation, pending, reason, ports);
  }
  await units.unguard(signal);
  await pruneReleases(installation);
  await removePending(installation);
  return { kind: "kept" };
}

/** Goes back to the release before. */
async function goBack(
  installation: Installation,
  pending: Pending,
  reason: string,
  ports: TrialPorts,
): Promise<TrialEnd> {
  const { units, doing, note } = ports;
  // A person who presses Ctrl-C wants the old state, not half of the new one.
  const signal = AbortSignal.timeout(BACK_MS);
  doing("rolling back");
  const journal = await units.journal(pending.started_at_ms, signal);
  const current = await releaseAt(installation, "current");
  const wasSwitched = current?.id === pending.to;
  if (wasSwitched) {
    const { from, previous = from } = pending;
    await switchTo(installation, { current: from, previous });
  }
  const before = await stateNow(pending, ports, signal);
  await units.stop(signal);
  await units.undivert(signal);
  let problem: string | undefined;
  try {
    if (restoreTables(pending)) note("the database has the tables of the release before again");
  } catch (error) {
    problem = messageOf(error);
  }
  if (wasSwitched) {
    try {
      await bringUpToDate(installation, ports.unitDir, { ...ports, signal });
    } catch (error) {
      problem ??= messageOf(error);
    }
  }
  await units.start(before.units, signal);
  const healthy: GateOutcome = await gate(installation, pending, { to: pending.from, before }, {
    ...ports,
    gateMs: Math.max(ports.gateMs, BACK_GATE_MS),
    signal,
  });
  if (healthy.kind === "unhealthy") problem ??= healthy.reason;
  await units.unguard(signal);
  await pruneReleases(installation);
  await removePending(installation);
  return { kind: "rolled_back", reason, journal, problem };
}

/** Returns the state at the beginning, with the processes of now, which are to end. */
async function stateNow(
  { before }: Pending,
  { units }: TrialPorts,
  signal: AbortSignal,
): Promise<Before> {
  const now = await units.look(signal);
  const { runner, sockets } = before.units;
  return { ...before, pid: now.runner?.pid, units: { agents: now.agents, runner, sockets } };
}

function restoreTables({ schema, state_dir }: Pending): boolean {
  if (schema === undefined) return false;
  using _lock = lockState(state_dir);
  return restoreSchema(`${state_dir}/runner.db`, schema);
}

async function gate(
  { home }: Installation,
  { socket }: Pending,
  { to, before }: { readonly to: string; readonly before: Before },
  { askAt, units, clock, gateMs, signal }: TrialPorts,
): Promise<GateOutcome> {
  const release = await readRelease(`${home}/releases/${to}`);
  const version = release?.info.version ?? "";
  const ask = askAt(socket);
  return await passGate({ ask, units, clock, before, version, timeoutMs: gateMs, signal });
}

async function requireRelease({ home }: Installation, id: string): Promise<string> {
  const release = await readRelease(`${home}/releases/${id}`);
  if (release !== undefined) return release.info.version;
  throw new CicdError("io_failed", `Cannot try release "${id}": it is gone`);
}
