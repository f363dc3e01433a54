/**
 * Checks out one repository: through its mirror, or directly from the remote.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { moveAside } from "@lib/spine/attempts/workspaces.ts";
import type { GitRemote, GitScheme } from "@lib/spine/spec/git_url.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import type { Credentials } from "@lib/features/checkout/credentials.ts";
import type { Git, GitAccess } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";
import {
  lockMirror,
  mirrorPath,
  prepareMirror,
  tidyMirror,
} from "@lib/features/checkout/mirror.ts";
import {
  fetchTags,
  obtainCommit,
  type Obtained,
  type ObtainInput,
  queryRemote,
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

/** Settings that all repositories of one checkout share. */
export interface CheckoutJob {
  readonly git: Git;
  readonly schemes: readonly GitScheme[];
  /** Directory of the project's mirrors; absent: none are kept. */
  readonly mirrors: string | undefined;
  /** Forbids the job to share files with a mirror. */
  readonly isolated: boolean;
  readonly credentials: Credentials | undefined;
  /** An empty directory, for commands that need no repository. */
  readonly nowhere: string;
  /** Longest wait for a mirror that another checkout uses. */
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
  /** Brings all tags, not only the wanted one. */
  readonly tags: boolean;
  /** An empty directory. */
  readonly target: string;
}

/** A checked-out repository. */
export interface CheckedOutRepository extends CheckedOut {
  /** The full name of the requested ref, if it holds this commit. */
  readonly ref: string | undefined;
}

/**
 * Checks out one repository without its submodules.
 *
 * A damaged mirror is discarded and made anew, once.
 *
 * @throws {GitFailure} If the checkout fails.
 */
export async function checkOutRepository(
  job: CheckoutJob,
  order: CheckoutOrder,
): Promise<CheckedOutRepository> {
  const { url } = order.remote;
  const known = order.wanted.sha === undefined ? await query(job, order) : undefined;
  if (job.mirrors === undefined) return await checkOutDirectly(job, order, known);
  const mirror = mirrorPath(job.mirrors, order.remote);
  for (let isSecond = false;; isSecond = true) {
    let existed = false;
    try {
      const onPrepared = (was: boolean) => existed = was;
      const obtained = await fillFromMirror(job, order, { mirror, known, onPrepared });
      return await finish(job, order, obtained);
    } catch (error) {
      // An error of the remote is not a damage, and a new mirror has none.
      if (job.signal.aborted || !existed || !isDamage(error)) throw error;
      if (isSecond) {
        throw new GitFailure("other", `Cannot check out ${url}: ${error.message}`, {
          cause: error,
        });
      }
      job.say(`The mirror of ${url} is damaged and is made anew (${error.message})`);
      using _held = await holdMirror(job, order, mirror);
      await removeTree(mirror);
    }
    await emptyDirectory(order.target);
  }
}

/**
 * Empties a directory; makes it if it does not exist.
 *
 * It is replaced as a whole: names that are not UTF-8 cannot be listed here.
 */
export async function emptyDirectory(path: string): Promise<void> {
  const aside = moveAside(path);
  await Deno.mkdir(path, { recursive: true });
  if (aside !== undefined) await removeTree(aside);
}

/** Returns what git may use to talk to a remote; the token is for one remote only. */
export function accessTo(remote: GitRemote, credentials: Credentials | undefined): GitAccess {
  const own = credentials?.origin === remote.origin ? credentials : undefined;
  return { remote, askpass: own?.askpass, token: own?.token };
}

async function query(job: CheckoutJob, { remote, wanted }: CheckoutOrder): Promise<RemoteRef> {
  return await queryRemote(job.git, wanted.ref, {
    gitDir: job.nowhere,
    access: accessTo(remote, job.credentials),
    signal: job.signal,
  });
}

function isDamage(error: unknown): error is Error {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    (error instanceof GitFailure && error.kind === "other");
}

interface MirrorUse {
  readonly mirror: string;
  readonly known: RemoteRef | undefined;
  readonly onPrepared: (existed: boolean) => void;
}

/** Holds the mirror as briefly as possible: the files are written later. */
async function fillFromMirror(
  job: CheckoutJob,
  order: CheckoutOrder,
  { mirror, known, onPrepared }: MirrorUse,
): Promise<Obtained> {
  const { git, isolated, signal } = job;
  const { remote, wanted, depth, tags } = order;
  const format = formatOf(wanted.sha ?? known?.sha ?? "");
  using _held = await holdMirror(job, order, mirror);
  onPrepared(await prepareMirror(mirror, { remote, format }));
  let fetched = false;
  const input: ObtainInput = {
    ...{ git, known, signal },
    access: accessTo(remote, job.credentials),
    gitDir: mirror,
    depth: 0,
    keepsNames: true,
    say(line) {
      fetched = true;
      job.say(line);
    },
  };
  const obtained = await obtainCommit(wanted, input);
  if (tags) await fetchTags(input);
  if (fetched || tags) await tidyMirror(git, mirror, signal);
  const gitDir = `${order.target}/.git`;
  await writeRepository(gitDir, {
    ...{ format, bare: false },
    originUrl: remote.url,
    hasOtherOwner: isolated,
  });
  const { sha, ref } = obtained;
  await placeObjects({
    ...{ git, mirror, gitDir, sha, depth, tags, isolated, signal },
    tip: ref?.sha ?? sha,
  });
  return obtained;
}

/** Waits for a mirror, and holds it until disposed. */
export async function holdMirror(
  { clock, say, signal, waitMs: timeoutMs }: CheckoutJob,
  { remote }: CheckoutOrder,
  mirror: string,
): Promise<Disposable> {
  const onWait = () => say(`Waiting for another checkout of ${remote.url}`);
  return await lockMirror(mirror, { onWait, timeoutMs, clock, signal });
}

async function checkOutDirectly(
  job: CheckoutJob,
  order: CheckoutOrder,
  known: RemoteRef | undefined,
): Promise<CheckedOutRepository> {
  const { git, isolated, say, signal } = job;
  const { remote, wanted, depth, tags } = order;
  const gitDir = `${order.target}/.git`;
  const format = formatOf(wanted.sha ?? known?.sha ?? "");
  await writeRepository(gitDir, {
    ...{ format, bare: false },
    originUrl: remote.url,
    hasOtherOwner: isolated,
  });
  const access = accessTo(remote, job.credentials);
  const input = { git, access, gitDir, depth, known, say, signal, keepsNames: false };
  const obtained = await obtainCommit(wanted, input);
  if (tags) await fetchTags(input);
  const checkedOut = await finish(job, order, obtained);
  await removeTree(`${gitDir}/FETCH_HEAD`);
  return checkedOut;
}

async function finish(
  { git, signal }: CheckoutJob,
  { target }: CheckoutOrder,
  { sha, name, ref }: Obtained,
): Promise<CheckedOutRepository> {
  const gitDir = `${target}/.git`;
  const done = await checkOutCommit(git, sha, { gitDir, workTree: target, ref, signal });
  return { ...done, ref: name?.startsWith("refs/") ? name : undefined };
}
