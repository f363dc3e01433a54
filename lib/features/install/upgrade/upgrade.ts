/**
 * Upgrades an installation, with jobs under way.
 *
 * The new release is put beside the old one, and tried: the programs are restarted from it, while
 * `current` is still the old one. Only once its runner answers and has taken over the jobs does
 * `current` change; otherwise the programs go back. Whatever interrupts this, the installation is the
 * old one or the new one, and a timer, or the next call, ends the trial.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { readSchema, readVersions } from "@lib/foundations/store/schema_rollback.ts";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import {
  downloadArchive,
  findRelease,
  type Published,
  type ReleaseSource,
} from "@lib/features/install/upgrade/find.ts";
import { type AskRunner, lookBefore } from "@lib/features/install/upgrade/gate.ts";
import {
  type Installation,
  linkedId,
  type Release,
  releaseAt,
  releasesIn,
} from "@lib/features/install/upgrade/installed.ts";
import { compareVersions } from "@lib/features/install/upgrade/release_files.ts";
import { pruneReleases, switchTo } from "@lib/features/install/upgrade/switch.ts";
import { recover, type TrialPorts, tryOut } from "@lib/features/install/upgrade/trial.ts";
import {
  removeTree,
  scratchOf,
  unpack,
  type UnpackPorts,
} from "@lib/features/install/upgrade/unpack.ts";

/** The machine, as an upgrade sees and changes it. */
export interface UpgradePorts extends TrialPorts, Pick<UnpackPorts, "target" | "unpackedMaxBytes"> {
  readonly clock: Clock;
  /** Asks the runner at the socket of the configuration. */
  readonly ask: AskRunner;
}

/** An installation, and the release to upgrade it to. */
export interface UpgradeInput {
  readonly installation: Installation;
  readonly source: ReleaseSource;
  /** `undefined`: the latest release, if it is newer. */
  readonly to: string | undefined;
  readonly stateDir: string;
  readonly socket: string;
}

/** The end of an upgrade. */
export type UpgradeOutcome =
  | { readonly kind: "current"; readonly version: string; readonly available: string }
  | {
    readonly kind: "upgraded";
    readonly from: string;
    readonly to: string;
    /** Jobs that were under way; `undefined`: no programs ran, so nothing was tried. */
    readonly jobs: number | undefined;
  }
  | {
    readonly kind: "rolled_back";
    readonly from: string;
    readonly to: string;
    readonly reason: string;
    /** The last lines of the new runner. */
    readonly journal: readonly string[];
    /** Why the old release is not healthy either; `undefined`: it is. */
    readonly problem: string | undefined;
  };

/** Returns the latest or given release, and the installed version. */
export async function check(
  { installation, source, to }: UpgradeInput,
  signal: AbortSignal,
): Promise<{ readonly installed: string; readonly published: Published }> {
  const installed = await requireInstalled(installation);
  return { installed: installed.info.version, published: await findRelease(source, to, signal) };
}

/** Upgrades; an interrupted upgrade is ended before. */
export async function upgrade(input: UpgradeInput, ports: UpgradePorts): Promise<UpgradeOutcome> {
  const { installation, source, to, stateDir, socket } = input;
  const { doing, note, signal } = ports;
  using _lock = lock(installation);
  const ended = await recover(installation, ports);
  if (ended !== undefined) note(ended);
  await removeTree(scratchOf(installation));
  const installed = await requireInstalled(installation);
  const from = installed.info.version;
  doing("looking for the release");
  const published = await findRelease(source, to, signal);
  if (!published.isSigned) {
    note("the signature is not verified: no public key is known; the checksum is");
  }
  const { version } = published;
  if (to === undefined && compareVersions(version, from) <= 0) {
    return { kind: "current", version: from, available: version };
  }
  const release = await fetchRelease(input, published, ports);
  if (release.id === installed.id) return { kind: "current", version: from, available: version };
  const database = `${stateDir}/runner.db`;
  await requireSchema(input, { installed, release, database });
  const { units } = ports;
  const before = await units.areLoaded(signal)
    ? await lookBefore(ports.ask, units, signal)
    : undefined;
  const isRunning = before !== undefined &&
    (before.units.runner !== undefined || before.units.sockets.includes("cicd-runner.socket"));
  if (!isRunning) {
    note("the runner is not running: the release is put in place without a trial");
    await switchTo(installation, { current: release.id, previous: installed.id });
    await pruneReleases(installation);
    return { kind: "upgraded", from, to: version, jobs: undefined };
  }
  const schema = readSchema(database);
  const end = await tryOut(installation, {
    from: installed.id,
    to: release.id,
    previous: await linkedId(installation, "previous"),
    state_dir: stateDir,
    socket,
    started_at_ms: ports.clock.now(),
    before,
    schema,
  }, ports);
  return end.kind === "kept"
    ? { kind: "upgraded", from, to: version, jobs: before.jobs.length }
    : { ...end, kind: "rolled_back", from, to: version };
}

/** Ends an upgrade that was interrupted. @returns What was done; `undefined` if there was none. */
export async function recoverInstallation(
  installation: Installation,
  ports: TrialPorts,
): Promise<string | undefined> {
  using _lock = lock(installation);
  const done = await recover(installation, ports);
  await removeTree(scratchOf(installation));
  return done;
}

function lock({ home }: Installation): Disposable {
  return lockDirectory({ directory: home, program: "upgrade", remedy: "wait for its end" });
}

async function requireInstalled(installation: Installation): Promise<Release> {
  const installed = await releaseAt(installation, "current");
  if (installed !== undefined) return installed;
  throw new CicdError(
    "usage",
    `Cannot upgrade "${installation.prefix}": "current" leads to no release; run install.sh again`,
  );
}

async function fetchRelease(
  { installation, source }: UpgradeInput,
  published: Published,
  ports: UpgradePorts,
): Promise<Release> {
  const { doing, signal, target } = ports;
  const scratch = scratchOf(installation);
  await Deno.mkdir(scratch, { mode: 0o700 });
  try {
    const archive = `${scratch}/archive.tar.gz`;
    let tenths = -1;
    await downloadArchive(published, {
      target,
      path: archive,
      authority: source.authority,
      onBytes(bytes, of) {
        const now = of === undefined ? Math.floor(bytes / 2 ** 24) : Math.floor(bytes * 10 / of);
        if (now === tenths) return;
        tenths = now;
        const share = of === undefined ? formatSize(bytes) : `${now * 10} % of ${formatSize(of)}`;
        doing(`downloading ${published.version}: ${share}`);
      },
      signal,
    });
    doing(`unpacking ${published.version}`);
    return await unpack(installation, { archive, version: published.version }, ports);
  } finally {
    await removeTree(scratch);
  }
}

/** Refuses a release that could not open the database. */
async function requireSchema(
  { installation }: UpgradeInput,
  { installed, release, database }: {
    readonly installed: Release;
    readonly release: Release;
    readonly database: string;
  },
): Promise<void> {
  const stored = readVersions(database);
  if (stored === undefined) return;
  const problem = misfitOf(release, installed, stored);
  if (problem === undefined) return;
  const able = (await releasesIn(installation)).filter((one) =>
    one.id !== release.id && misfitOf(one, installed, stored) === undefined
  ).map(({ info }) => info.version);
  await pruneReleases(installation);
  throw new CicdError(
    "store_newer",
    `Cannot go to ${release.info.version}: ${problem}; ${
      [...new Set(able)].join(" and ")
    } can use it. To go back further, restore a backup of the state directory and run install.sh`,
  );
}

function misfitOf(
  { info: { schemas, version } }: Release,
  installed: Release,
  stored: ReadonlyMap<string, number>,
): string | undefined {
  if (schemas === undefined) {
    // Such a release is older than this command, and so are its databases.
    return compareVersions(version, installed.info.version) < 0
      ? "it does not say which databases it can use"
      : undefined;
  }
  const newer = [...stored].find(([name, found]) => found > (schemas[name] ?? found));
  return newer &&
    `the database "${newer[0]}" has version ${newer[1]}, and it knows ${schemas[newer[0]]}`;
}
