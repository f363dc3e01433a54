/**
 * Bare copies of repositories, one for each address and project, so that a checkout fetches only
 * what is new.
 *
 * `<state>/projects/<project>/mirrors/<hash>.git` is the repository; its file `used` is touched on
 * each use. A process that works with it holds `<hash>.lock` beside it: the kernel releases it when
 * the process dies. Lock files are never removed, or two processes could hold one mirror.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { GitRemote } from "@lib/spine/spec/git_url.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import type { Git } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";
import { type ObjectFormat, writeRepository } from "@lib/features/checkout/repository.ts";

/** Returns the directory of a project's mirrors. */
export function mirrorsPath(stateDir: string, project: ProjectName): string {
  return `${stateDir}/projects/${project}/mirrors`;
}

/** Returns the path of a remote's mirror below {@linkcode mirrorsPath}. */
export function mirrorPath(directory: string, remote: GitRemote): string {
  return `${directory}/${createHash("sha256").update(remote.key).digest("hex")}.git`;
}

/** Options for {@linkcode lockMirror}. */
export interface LockInput {
  /** Called once if another process holds it. */
  readonly onWait: () => void;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Waits for the lock of a mirror, and holds it until disposed.
 *
 * @throws {GitFailure} `too_slow` if another process still holds it after `timeoutMs`.
 */
export async function lockMirror(path: string, input: LockInput): Promise<Disposable> {
  const { clock, signal } = input;
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const until = clock.now() + input.timeoutMs;
  const backoff = new Backoff({ firstMs: 20, maxMs: 500 });
  for (let tries = 0;; tries++) {
    signal.throwIfAborted();
    const lock = tryLockMirror(path);
    if (lock !== undefined) return lock;
    if (clock.now() >= until) {
      throw new GitFailure(
        "too_slow",
        "Cannot check out: other checkouts of this repository take too long; try again",
      );
    }
    if (tries === 0) input.onWait();
    await clock.sleep(backoff.next(), { signal });
  }
}

/** Takes the lock of a mirror; `undefined` if another process holds it. */
export function tryLockMirror(path: string): Disposable | undefined {
  try {
    return lockDirectory({
      directory: dirname(path),
      program: basename(path, ".git"),
      remedy: "wait until it is done",
    });
  } catch (error) {
    if (error instanceof CicdError && error.code === "store_locked") return undefined;
    throw error;
  }
}

/**
 * Makes the mirror if it does not exist, and removes stale locks of git; it must be locked.
 *
 * @returns Whether it existed.
 */
export async function prepareMirror(
  path: string,
  { remote, format }: { readonly remote: GitRemote; readonly format: ObjectFormat },
): Promise<boolean> {
  if (await mirrorFormat(path) === format) {
    await removeStaleLocks(path);
    await touch(path);
    return true;
  }
  const fresh = `${path}.new`;
  await removeTree(fresh);
  await removeTree(path);
  await writeRepository(fresh, { format, bare: true, originUrl: remote.url });
  await touch(fresh);
  await Deno.rename(fresh, path);
  return false;
}

/** Returns the format of a mirror's objects; `undefined` if there is no usable mirror. */
async function mirrorFormat(path: string): Promise<ObjectFormat | undefined> {
  try {
    await Deno.stat(`${path}/HEAD`);
    const config = await Deno.readTextFile(`${path}/config`);
    return /^\s*objectformat = sha256$/m.test(config) ? "sha256" : "sha1";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}

async function touch(path: string): Promise<void> {
  await Deno.writeTextFile(`${path}/used`, "");
}

/** The mirror is locked, so the git that left these locks is dead. */
async function removeStaleLocks(directory: string): Promise<void> {
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory && entry.name !== "objects") await removeStaleLocks(path);
    else if (entry.isFile && entry.name.endsWith(".lock")) await Deno.remove(path);
  }
}

/** With more packs, they are merged. */
const PACKS_MAX = 24;
/** Names of fetched commits that are kept then. */
const NAMES_MAX = 500;

/** Keeps a mirror fast after a fetch; it must be locked. */
export async function tidyMirror(git: Git, path: string, signal: AbortSignal): Promise<void> {
  const packs = `${path}/objects/pack`;
  let count = 0;
  for await (const { name } of Deno.readDir(packs)) {
    if (name.endsWith(".pack")) count++;
    // Partial data of a killed fetch.
    else if (/^(?:\.?tmp[_-])/.test(name)) await Deno.remove(`${packs}/${name}`);
  }
  if (count <= PACKS_MAX) return;
  const call = { gitDir: path, signal };
  const format = "--format=delete %(refname)";
  const names = await git.run(["for-each-ref", "--sort=-committerdate", format, "refs/cicd"], call);
  const old = names.split("\n").slice(NAMES_MAX).filter((line) => line !== "");
  if (old.length > 0) {
    await git.run(["update-ref", "--stdin"], { ...call, stdin: `${old.join("\n")}\n` });
  }
  await git.run(["pack-refs", "--all"], call);
  const { code, stderr } = await git.try(["repack", "-d", "--geometric=2", "--quiet"], call);
  // An older git cannot do this; more packs are only slower.
  if (code !== 0 && !/unknown option/.test(stderr)) {
    throw new GitFailure("other", "git could not merge the packs of the mirror");
  }
}
