/**
 * Files kept in Git LFS.
 *
 * @module
 */
import type { GitRemote } from "@lib/spine/spec/git_url.ts";
import type { Git, GitCall } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";

/**
 * Fails if there is no Git LFS on this machine.
 *
 * @throws {GitFailure} `refused`.
 */
export async function requireLfs(git: Git, call: GitCall): Promise<void> {
  const { code } = await git.try(["lfs", "version"], call);
  if (code === 0) return;
  throw new GitFailure(
    "refused",
    "Cannot fetch the files in Git LFS: the program git-lfs is not installed on this machine; " +
      "install it, or leave out `git.lfs`",
  );
}

/** The programs that git calls for such files; they are part of Git LFS, not of a repository. */
const FILTER = {
  clean: "git-lfs clean -- %f",
  smudge: "git-lfs smudge -- %f",
  process: "git-lfs filter-process",
} as const;

/**
 * Puts the files that the checked-out commit keeps in LFS in the place of their pointers.
 *
 * The server is that of the repository: one that the repository names in `.lfsconfig` is not asked.
 */
export async function fetchLfs(
  git: Git,
  call: GitCall & Required<Pick<GitCall, "access" | "workTree">>,
): Promise<void> {
  const filter = Object.entries(FILTER);
  const settings = [
    `lfs.url=${lfsUrl(call.access.remote)}`,
    ...filter.map(([name, program]) => `filter.lfs.${name}=${program}`),
    "filter.lfs.required=true",
  ].flatMap((setting) => ["-c", setting]);
  await git.run([...settings, "lfs", "pull", "origin"], call);
  // With them the job's own git sees no changes. Neither `process` nor `required`: a container may
  // lack git-lfs, and its git would then fail.
  const lines = `\tclean = ${FILTER.clean}\n\tsmudge = ${FILTER.smudge}\n`;
  await Deno.writeTextFile(`${call.gitDir}/config`, `[filter "lfs"]\n${lines}`, {
    append: true,
    create: false,
  });
}

/** Where the server of a repository keeps LFS, if nothing else is said. */
function lfsUrl({ scheme, url }: GitRemote): string {
  if (scheme === "ssh" || scheme === "file") return url;
  const base = url.replace(/\/+$/, "");
  return `${base.endsWith(".git") ? base : `${base}.git`}/info/lfs`;
}
