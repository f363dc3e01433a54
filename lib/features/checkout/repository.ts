/**
 * Makes repositories file by file, so that they contain nothing else.
 *
 * @module
 */
import type { Git, GitCall } from "@lib/features/checkout/git_command.ts";
import { GitFailure, plainText } from "@lib/features/checkout/git_failure.ts";

/** The hash that names objects. */
export type ObjectFormat = "sha1" | "sha256";

/** Returns the format of an id by its length. */
export function formatOf(sha: string): ObjectFormat {
  return sha.length === 64 ? "sha256" : "sha1";
}

/** Options for {@linkcode writeRepository}. */
export interface RepositoryOptions {
  readonly format: ObjectFormat;
  readonly bare: boolean;
  /** Address of the remote `origin`, without credentials. */
  readonly originUrl: string;
  /** Set: the job sees another owner of the files, and Git does not compare it. @default {false} */
  readonly hasOtherOwner?: boolean;
}

/** Makes an empty repository at `gitDir`, which must not exist. */
export async function writeRepository(gitDir: string, options: RepositoryOptions): Promise<void> {
  await Deno.mkdir(`${gitDir}/objects/pack`, { recursive: true });
  await Deno.mkdir(`${gitDir}/refs/heads`, { recursive: true });
  await Deno.mkdir(`${gitDir}/info`);
  await Deno.writeTextFile(`${gitDir}/config`, configText(options));
  await Deno.writeTextFile(`${gitDir}/HEAD`, "ref: refs/heads/main\n");
}

function configText({ format, bare, originUrl, hasOtherOwner = false }: RepositoryOptions): string {
  const sha256 = format === "sha256";
  return [
    "[core]",
    `\trepositoryformatversion = ${sha256 ? 1 : 0}`,
    "\tfilemode = true",
    `\tbare = ${bare}`,
    ...(bare ? [] : ["\tlogallrefupdates = true"]),
    // Otherwise plumbing such as `git diff-index` takes every file for changed.
    ...(hasOtherOwner ? ["\tcheckStat = minimal"] : []),
    ...(sha256 ? ["[extensions]", "\tobjectformat = sha256"] : []),
    '[remote "origin"]',
    `\turl = ${quoted(originUrl)}`,
    ...(bare ? [] : ["\tfetch = +refs/heads/*:refs/remotes/origin/*"]),
    "",
  ].join("\n");
}

/** Adds a submodule to a repository's settings, for `git submodule`. */
export async function activateSubmodule(
  gitDir: string,
  { name, url }: { readonly name: string; readonly url: string },
): Promise<void> {
  const text = `[submodule ${quoted(name)}]\n\tactive = true\n\turl = ${quoted(url)}\n`;
  await Deno.writeTextFile(`${gitDir}/config`, text, { append: true, create: false });
}

/** Quotes a value or section name for git's settings; it must be a single line. */
function quoted(text: string): string {
  if (/[\p{Cc}]/u.test(text)) throw new RangeError("A setting of git must be a single line");
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** Returns whether a repository contains a commit of exactly this id. */
export async function hasCommit(git: Git, sha: string, call: GitCall): Promise<boolean> {
  const { code, stdout } = await git.try(["cat-file", "-t", sha], call);
  return code === 0 && stdout.trim() === "commit";
}

/** A commit in a working tree. */
export interface CheckedOut {
  readonly sha: string;
  /** First line of its message, plain and bounded. */
  readonly subject: string;
}

/** A ref. */
export interface RefName {
  /** In full: `refs/heads/main`. */
  readonly name: string;
  /** Of a commit, or of an annotated tag. */
  readonly sha: string;
}

/**
 * Writes the files of a commit into an empty working tree, with a detached `HEAD`.
 *
 * @throws {GitFailure} If another commit is checked out, or objects are missing.
 */
export async function checkOutCommit(
  git: Git,
  sha: string,
  { ref, ...call }: GitCall & { readonly workTree: string; readonly ref: RefName | undefined },
): Promise<CheckedOut> {
  await Deno.writeTextFile(`${call.gitDir}/HEAD`, `${sha}\n`);
  const local = ref === undefined ? undefined : localName(ref.name);
  if (ref !== undefined && local !== undefined) {
    await git.run(["update-ref", local, ref.sha], call);
  }
  const workers = Math.min(navigator.hardwareConcurrency, 8);
  await git.run(["-c", `checkout.workers=${workers}`, "reset", "--hard", "--quiet"], call);
  const shown = await git.run(["log", "-1", "--no-show-signature", "--format=%H %s"], call);
  const space = shown.indexOf(" ");
  if (shown.slice(0, space) !== sha) {
    throw new GitFailure("other", `git checked out ${plainText(shown, 64)} instead of ${sha}`);
  }
  return { sha, subject: plainText(shown.slice(space), 100) };
}

/** Returns the name that a clone gives to a branch or tag; other refs have none. */
function localName(name: string): string | undefined {
  if (name.startsWith("refs/tags/")) return name;
  const branch = "refs/heads/";
  return name.startsWith(branch) ? `refs/remotes/origin/${name.slice(branch.length)}` : undefined;
}
