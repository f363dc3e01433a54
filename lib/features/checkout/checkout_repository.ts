/**
 * Checks out one repository: through its mirror, or straight from the remote.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { GitRemote, GitScheme } from "@lib/spine/spec/git_url.ts";
import { removeTree } from "@lib/foundations/store/remove_tree.ts";
import type { Credentials } from "@lib/features/checkout/credentials.ts";
import type { Git, GitAccess } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";
import {
  lockMirror,
  mirrorName,
  prepareMirror,
  tidyMirror,
} from "@lib/features/checkout/mirror.ts";
import {
  askRemote,
  obtainCommit,
  type Obtained,
  type RemoteRef,
  type Wanted,
} from "@lib/features/checkout/obtain_commit.ts";
import { placeObjects } from "@lib/features/checkout/place_objects.ts";
import {
  type CheckedOut,
  checkOutCommit,
  formatOf,
  writeRepository,
} from "@lib/features/checkout/repository.ts";

/** What all repositories of one checkout share. */
export interface CheckoutJob {
  readonly git: Git;
  readonly schemes: readonly GitScheme[];
  /** Directory of the project's mirrors; absent: none are kept. */
  readonly mirrors: string | undefined;
  /** Whether the job must have no file in common with a mirror. */
  readonly isolated: boolean;
  readonly credentials: Credentials | undefined;
  /** An empty directory, for commands that need no repository. */
  readonly nowhere: string;
  /** Longest wait for a mirror that another works with. */
  readonly waitMs: number;
  readonly clock: Clock;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** One repository, and where it goes. */
export interface CheckoutOrder {
  readonly remote: GitRemote;
  readonly wanted: Wanted;
  /** Commits of history; 0: all. */
  readonly depth: number;
  /** An empty directory. */
  readonly target: string;
}

/** A checked-out repository. */
export interface CheckedOutRepository extends CheckedOut {
  /** In full, if one was asked for and stands for this commit. */
  readonly ref: string | undefined;
}

/**
 * Checks out one repository without its submodules.
 *
 * A mirror that turns out to be damaged is thrown away and made anew, once.
 *
 * @throws {GitFailure} If it cannot be had.
 */
export async function checkOutRepository(
  job: CheckoutJob,
  order: CheckoutOrder,
): Promise<CheckedOutRepository> {
  const known = order.wanted.sha === undefined ? await ask(job, order) : undefined;
  if (job.mirrors === undefined) return await checkOutDirectly(job, order, known);
  const place = { directory: job.mirrors, name: mirrorName(order.remote) };
  const first = await tryMirror(job, order, { ...place, known });
  if (first.kind === "done") return first.repository;
  job.say(`The mirror of ${order.remote.url} is damaged and is made anew (${first.why})`);
  {
    using _held = await hold(job, order, place);
    await removeTree(`${place.directory}/${place.name}.git`);
  }
  await emptyDirectory(order.target);
  const second = await tryMirror(job, order, { ...place, known });
  if (second.kind === "done") return second.repository;
  throw new GitFailure("other", `Cannot check out ${order.remote.url}: ${second.why}`);
}

/** Removes all that is in a directory, which is made if it is not there. */
export async function emptyDirectory(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true });
  for await (const { name } of Deno.readDir(path)) await removeTree(`${path}/${name}`);
}

/** What git may use to talk to a remote; the token is for one of them only. */
export function accessTo(remote: GitRemote, credentials: Credentials | undefined): GitAccess {
  const own = credentials?.origin === remote.origin ? credentials : undefined;
  return { remote, askpass: own?.askpass, token: own?.token };
}

async function ask(job: CheckoutJob, { remote, wanted }: CheckoutOrder): Promise<RemoteRef> {
  return await askRemote(job.git, wanted.ref, {
    gitDir: job.nowhere,
    access: accessTo(remote, job.credentials),
    signal: job.signal,
  });
}

interface MirrorPlace {
  readonly directory: string;
  readonly name: string;
}

type MirrorTry =
  | { readonly kind: "done"; readonly repository: CheckedOutRepository }
  | { readonly kind: "damaged"; readonly why: string };

async function tryMirror(
  job: CheckoutJob,
  order: CheckoutOrder,
  place: MirrorPlace & { readonly known: RemoteRef | undefined },
): Promise<MirrorTry> {
  let wasThere = false;
  try {
    const obtained = await fillFromMirror(job, order, {
      ...place,
      onPrepared: (there) => wasThere = there,
    });
    return { kind: "done", repository: await finish(job, order, obtained) };
  } catch (error) {
    // What the remote refuses is no fault of the mirror, and a new one has none.
    if (job.signal.aborted || !wasThere || !isDamage(error)) throw error;
    return { kind: "damaged", why: error.message };
  }
}

function isDamage(error: unknown): error is Error {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    (error instanceof GitFailure && error.kind === "other");
}

/** The mirror is held as short as can be: the files are written after it. */
async function fillFromMirror(
  job: CheckoutJob,
  order: CheckoutOrder,
  { known, onPrepared, ...place }: MirrorPlace & {
    readonly known: RemoteRef | undefined;
    readonly onPrepared: (wasThere: boolean) => void;
  },
): Promise<Obtained> {
  const { git, say, signal } = job;
  const { remote, wanted } = order;
  const mirror = `${place.directory}/${place.name}.git`;
  const format = formatOf(wanted.sha ?? known?.sha ?? "");
  using _held = await hold(job, order, place);
  onPrepared(await prepareMirror({ path: mirror, remote, format }));
  const access = accessTo(remote, job.credentials);
  let fetched = false;
  const obtained = await obtainCommit(wanted, {
    ...{ git, access, known, signal },
    gitDir: mirror,
    depth: 0,
    keepsNames: true,
    say(line) {
      fetched = true;
      say(line);
    },
  });
  if (fetched) await tidyMirror(git, mirror, signal);
  const gitDir = `${order.target}/.git`;
  await writeRepository(gitDir, { format, bare: false, originUrl: remote.url });
  await placeObjects({
    ...{ git, mirror, gitDir, signal },
    sha: obtained.sha,
    depth: order.depth,
    isolated: job.isolated,
  });
  return obtained;
}

async function hold(
  { clock, say, signal, waitMs }: CheckoutJob,
  { remote }: CheckoutOrder,
  { directory, name }: MirrorPlace,
): Promise<Disposable> {
  return await lockMirror({
    ...{ directory, name, clock, signal },
    timeoutMs: waitMs,
    onWait: () => say(`Waiting for another checkout of ${remote.url}`),
  });
}

async function checkOutDirectly(
  job: CheckoutJob,
  order: CheckoutOrder,
  known: RemoteRef | undefined,
): Promise<CheckedOutRepository> {
  const { git, say, signal } = job;
  const { remote, wanted, depth } = order;
  const gitDir = `${order.target}/.git`;
  const format = formatOf(wanted.sha ?? known?.sha ?? "");
  await writeRepository(gitDir, { format, bare: false, originUrl: remote.url });
  const access = accessTo(remote, job.credentials);
  const obtained = await obtainCommit(wanted, {
    ...{ git, access, gitDir, depth, known, say, signal },
    keepsNames: false,
  });
  const checkedOut = await finish(job, order, obtained);
  await removeTree(`${gitDir}/FETCH_HEAD`);
  return checkedOut;
}

async function finish(
  { git, signal }: CheckoutJob,
  { target, wanted }: CheckoutOrder,
  { sha, ref }: Obtained,
): Promise<CheckedOutRepository> {
  const gitDir = `${target}/.git`;
  const done = await checkOutCommit(git, sha, { gitDir, workTree: target, ref, signal });
  return { ...done, ref: ref?.name ?? wanted.ref };
}
