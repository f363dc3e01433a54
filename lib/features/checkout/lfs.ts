/**
 * The files in Git LFS of a checked-out commit.
 *
 * They are kept in the mirror, below `lfs`, and linked or copied from there as its packs are. What
 * an earlier job may have changed there is recognized by its hash and fetched again.
 *
 * @module
 */
import { openInside } from "@lib/foundations/files/inside.ts";
import { statIfThere } from "@lib/foundations/files/records.ts";
import type { GitRemote } from "@lib/spine/spec/git_url.ts";
import {
  accessTo,
  type CheckoutJob,
  type CheckoutOrder,
  holdMirror,
} from "@lib/features/checkout/checkout_repository.ts";
import type { Git, GitCall } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";
import { mirrorPath } from "@lib/features/checkout/mirror.ts";
import { place } from "@lib/features/checkout/place_objects.ts";

/** Throws a {@linkcode GitFailure} if Git LFS is not installed. */
export async function requireLfs(git: Git, call: GitCall): Promise<void> {
  const { code } = await git.try(["lfs", "version"], call);
  if (code === 0) return;
  throw new GitFailure(
    "refused",
    "Cannot fetch the files in Git LFS: git-lfs is not installed on this machine; install it, or " +
      "leave out `git.lfs`",
  );
}

/** The programs of Git LFS that git calls for such files. */
const FILTER = {
  clean: "git-lfs clean -- %f",
  smudge: "git-lfs smudge -- %f",
  process: "git-lfs filter-process",
} as const;

/**
 * Replaces the LFS pointers of the checked-out commit by their files.
 *
 * Uses the repository's own server, never one that it names in `.lfsconfig`.
 */
export async function checkOutLfs(job: CheckoutJob, order: CheckoutOrder): Promise<void> {
  const { git, signal } = job;
  const { remote, target } = order;
  const access = accessTo(remote, job.credentials);
  const call = { gitDir: `${target}/.git`, workTree: target, signal };
  const settings = [
    `lfs.url=${lfsUrl(remote)}`,
    // Git repeats what fails, and says so.
    "lfs.transfer.maxretries=1",
    ...Object.entries(FILTER).map(([name, program]) => `filter.lfs.${name}=${program}`),
    "filter.lfs.required=true",
  ].flatMap((setting) => ["-c", setting]);
  const say = () => job.say(`Fetching the files in Git LFS of ${remote.url}`);
  if (job.mirrors === undefined) {
    say();
    await git.run([...settings, "lfs", "pull", "origin"], { ...call, access });
  } else {
    const mirror = mirrorPath(job.mirrors, remote);
    using _held = await holdMirror(job, order, mirror);
    const storage = `${mirror}/lfs`;
    const listed = await git.run(["lfs", "ls-files", "--long"], call);
    const wanted = [...listed.matchAll(/^([0-9a-f]{64}) /gm)].map(([, oid = ""]) => pathOf(oid));
    if (!await areKept(storage, wanted, signal)) {
      say();
      const fetch = ["-c", `lfs.storage=${storage}`, "lfs", "fetch", "origin"];
      await git.run([...settings, ...fetch], { ...call, access });
    }
    for (const path of wanted) await use(path, { storage, gitDir: call.gitDir, job });
    await removeUnused(`${storage}/objects`, job.clock.now());
    await git.run([...settings, "lfs", "checkout"], call);
  }
  // With these the job's own git sees no changes; with `process` or `required` it would fail in a
  // container without git-lfs.
  const lines = `\tclean = ${FILTER.clean}\n\tsmudge = ${FILTER.smudge}\n`;
  await Deno.writeTextFile(`${call.gitDir}/config`, `[filter "lfs"]\n${lines}`, {
    append: true,
    create: false,
  });
}

/** Returns the place of a file in a storage of Git LFS. */
function pathOf(oid: string): string {
  return `objects/${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`;
}

/** Returns true if the storage has all of these files; removes those that were changed. */
async function areKept(
  storage: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  let all = true;
  for (const path of paths) {
    if (await statIfThere(`${storage}/${path}`) === undefined) {
      all = false;
      continue;
    }
    using file = openInside(storage, path);
    if (await file?.sha256(signal) === path.split("/").at(-1)) continue;
    await Deno.remove(`${storage}/${path}`, { recursive: true });
    all = false;
  }
  return all;
}

/** Gives a file to the workspace; one that `.lfsconfig` excludes from fetches is not there. */
async function use(
  path: string,
  { storage, gitDir, job }: {
    readonly storage: string;
    readonly gitDir: string;
    readonly job: CheckoutJob;
  },
): Promise<void> {
  const from = `${storage}/${path}`;
  const to = `${gitDir}/lfs/${path}`;
  if (await statIfThere(from) === undefined || await statIfThere(to) !== undefined) return;
  const now = job.clock.now() / 1_000;
  await Deno.utime(from, now, now);
  await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
  await place(from, to, job.isolated);
}

/** Files that no job has used for so long are removed. */
const UNUSED_MS = 30 * 86_400_000;

async function removeUnused(directory: string, now: number): Promise<void> {
  if (await statIfThere(directory) === undefined) return;
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) await removeUnused(path, now);
    else if (now - ((await Deno.lstat(path)).mtime?.getTime() ?? now) > UNUSED_MS) {
      await Deno.remove(path);
    }
  }
}

/** Returns the default LFS address of a repository. */
function lfsUrl({ scheme, url }: GitRemote): string {
  if (scheme === "ssh" || scheme === "file") return url;
  const base = url.replace(/\/+$/, "");
  return `${base.endsWith(".git") ? base : `${base}.git`}/info/lfs`;
}
