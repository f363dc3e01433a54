/**
 * Gives a job's files to the user of its container, and takes them back after the job.
 *
 * A user can neither write what belongs to another nor set its times and modes, and Git refuses a
 * repository of another owner. Nothing of a job runs meanwhile, and `chown` follows no link; it is a
 * process of its own, because a cache can nest directories deeper than the longest path.
 *
 * Root changes the owner itself. Another account has it changed by the engine, of which it may
 * demand that, as the user is not the account only where the configuration allows it; a rootless
 * engine's users have ids of which only the engine knows.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { type AccountIds, lookUpUser } from "@lib/features/containers/container_account.ts";
import { runAsEngineRoot } from "@lib/features/containers/engine_helper.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import type { ImageInfo } from "@lib/foundations/docker/engine_types.ts";
import { existsSync, statIfThere } from "@lib/foundations/files/records.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptStep, SetupContext } from "@lib/spine/jobs/step.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** Options for {@linkcode ownerStep}. */
export interface OwnerOptions {
  readonly engines: { engine(): Promise<Engine> };
  readonly stateDir: string;
  /** Returns what an earlier step was told of a job's image. */
  readonly imageOf?: (spec: JobSpec) => Pick<ImageInfo, "user"> | undefined;
  /** The agent's account. */
  readonly account: AccountIds;
  readonly run: RunCommand;
}

/** Limit of one change. */
const TIMEOUT_MS = 10 * 60_000;
const TARGET = "/cicd-owner";

/** Gives the workspace and the home to the user that the job's container will have. */
async function giveFiles(
  { spec, directory, say }: SetupContext,
  { engines, stateDir, imageOf, account, run }: OwnerOptions,
  signal: AbortSignal,
): Promise<void> {
  const { container } = spec;
  if (container === undefined) return;
  const engine = await engines.engine();
  const { rootless, root } = await engine.facts(signal);
  // Without a user of its own the container has the account, if that is not root.
  if (container.user === undefined && (rootless || account.uid !== 0)) return;
  const { image } = container;
  const known = container.user ?? imageOf?.(spec)?.user;
  const user = known ?? (await engine.inspectImage(image, signal))?.user ?? "";
  const found = await lookUpUser(engine, { image, user, stateDir }, signal);
  // The engine says at the start that there is no such user.
  if (found === undefined) return;
  const isHere = account.uid === 0 && !rootless;
  const owner = isHere ? { uid: root.uid + found.uid, gid: root.gid + found.gid } : found;
  const own = ownIds(account, rootless);
  if (owner.uid === own.uid && owner.gid === own.gid) return;
  Deno.mkdirSync(directory.home, { recursive: true, mode: 0o700 });
  // The account goes on looking into it; the directory above keeps all others out.
  Deno.chmodSync(directory.workspace, 0o755);
  if (isHere) await changeOwner(run, { directory, owner, signal });
  else await changeOwnerThere(engine, { directory, owner, stateDir, signal });
  say(`Gave the workspace to the container's user, ${found.uid}:${found.gid}`);
}

/** Takes back what {@linkcode giveFiles} gave away, if the account could not read it. */
async function takeFilesBack(
  { directory }: AttemptHandle,
  { engines, stateDir, account }: OwnerOptions,
  signal: AbortSignal,
): Promise<void> {
  if (account.uid === 0) return;
  const uid = (await statIfThere(directory.workspace))?.uid ?? account.uid;
  if (uid === account.uid) return;
  const engine = await engines.engine();
  const owner = ownIds(account, (await engine.facts(signal)).rootless);
  await changeOwnerThere(engine, { directory, owner, stateDir, signal });
}

/** Makes the step `owner`. */
export function ownerStep(options: OwnerOptions): AttemptStep {
  return {
    name: "owner",
    needed: () => true,
    before: (context, signal) => giveFiles(context, options, signal),
    async after(context, _outcome, signal) {
      await takeFilesBack(context, options, signal);
      return [];
    },
  };
}

/** Returns the account's ids in a container; a rootless engine maps the account to root. */
function ownIds(account: AccountIds, rootless: boolean): AccountIds {
  return rootless ? { uid: 0, gid: 0 } : account;
}

interface Change {
  readonly directory: AttemptDirectory;
  readonly owner: AccountIds;
  readonly signal: AbortSignal;
}

async function changeOwner(run: RunCommand, { directory, owner, signal }: Change): Promise<void> {
  const argv = chown(owner, [directory.workspace, directory.home]);
  const { code, stderr } = await run(argv, { timeoutMs: TIMEOUT_MS, maxBytes: 4_096, signal });
  if (code !== 0) throw cannot(directory, stderr.split("\n", 1)[0]?.slice(0, 500) || code);
}

async function changeOwnerThere(
  engine: Engine,
  { directory, owner, stateDir, signal }: Change & { readonly stateDir: string },
): Promise<void> {
  const mounts = [
    { source: directory.workspace, target: `${TARGET}/workspace` },
    { source: directory.home, target: `${TARGET}/home` },
  ].filter(({ source }) => existsSync(source));
  const [program = "", ...args] = chown(owner, mounts.map(({ target }) => target));
  const code = await runAsEngineRoot(engine, [`/bin/${program}`, ...args], {
    purpose: "owner",
    mounts,
    capabilities: ["CHOWN", "DAC_READ_SEARCH"],
    stateDir,
    signal,
  });
  if (code !== 0) throw cannot(directory, code);
}

function chown({ uid, gid }: AccountIds, paths: readonly string[]): readonly string[] {
  return ["chown", "-hR", "--", `${uid}:${gid}`, ...paths];
}

function cannot({ workspace }: AttemptDirectory, why: string | number | undefined): CicdError {
  const what = typeof why === "string" ? why : `chown ended with ${why}`;
  return new CicdError("io_failed", `Cannot change the owner of "${workspace}": ${what}`);
}
