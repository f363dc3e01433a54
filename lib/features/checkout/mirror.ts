/**
 * Bare copies of repositories, one for each address and project, so that a checkout fetches only
 * what is new.
 *
 * `<state>/projects/<project>/mirrors/<hash>.git` is the repository; its file `used` was touched
 * at the last use. `<hash>.lock` beside it is held by whoever works with it: the kernel lets go of
 * it when the holder dies. Lock files are never removed, or two could hold one mirror.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { GitRemote } from "@lib/spine/spec/git_url.ts";
import { removeTree } from "@lib/foundations/store/remove_tree.ts";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import type { Git } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";
import { type ObjectFormat, writeRepository } from "@lib/features/checkout/repository.ts";

/** The directory that holds a project's mirrors. */
export function mirrorsPath(stateDir: string, project: ProjectName): string {
  return `${stateDir}/projects/${project}/mirrors`;
}

/** Name of a remote's mirror, without `.git`. */
export function mirrorName(remote: GitRemote): string {
  return createHash("sha256").update(remote.key).digest("hex");
}

/** Options for {@linkcode lockMirror}. */
export interface LockInput {
  /** See {@linkcode mirrorsPath}. */
  readonly directory: string;
  /** See {@linkcode mirrorName}. */
  readonly name: string;
  /** Called once if another holds it. */
  readonly onWait: () => void;
  /** Longest wait. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Waits until nobody else works with a mirror, and holds it until disposed.
 *
 * @throws {CicdError} `store_locked` if it is still held after `timeoutMs`.
 */
export async function lockMirror(input: LockInput): Promise<Disposable> {
  const { directory, name, clock, signal } = input;
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  const until = clock.now() + input.timeoutMs;
  const backoff = new Backoff({ firstMs: 20, maxMs: 500 });
  for (let tries = 0;; tries++) {
    signal.throwIfAborted();
    try {
      return lockDirectory({ directory, program: name, remedy: "wait until it is done" });
    } catch (error) {
      const held = error instanceof CicdError && error.code === "store_locked";
      if (!held || clock.now() >= until) throw error;
    }
    if (tries === 0) input.onWait();
    await clock.sleep(backoff.next(), { signal });
  }
}

/** Options for {@linkcode prepareMirror}. */
export interface MirrorInput {
  readonly path: string;
  readonly remote: GitRemote;
  readonly format: ObjectFormat;
}

/**
 * Makes the mirror if it is not there, and clears what a killed git left; it must be locked.
 *
 * @returns Whether it was there.
 */
export async function prepareMirror({ path, remote, format }: MirrorInput): Promise<boolean> {
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

/** The format of a mirror's objects; `undefined` if there is none that could be used. */
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

/** We hold the mirror, so a git that left a lock behind lives no more. */
async function removeStaleLocks(directory: string): Promise<void> {
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory && entry.name !== "objects") await removeStaleLocks(path);
    else if (entry.isFile && entry.name.endsWith(".lock")) await Deno.remove(path);
  }
}

/** More packs than this are joined. */
const PACKS_MAX = 24;
/** More names of fetched commits than this are thinned out. */
const NAMES_MAX = 500;

/** Keeps a mirror fast after a fetch; it must be locked. */
export async function tidyMirror(git: Git, path: string, signal: AbortSignal): Promise<void> {
  const packs = `${path}/objects/pack`;
  let count = 0;
  for await (const { name } of Deno.readDir(packs)) {
    if (name.endsWith(".pack")) count++;
    // What a killed fetch had received.
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
  // An older git cannot do this; more packs are slower, and no worse.
  if (code !== 0 && !/unknown option/.test(stderr)) {
    throw new GitFailure("other", "git could not join the packs of the mirror");
  }
}
