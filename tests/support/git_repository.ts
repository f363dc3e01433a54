/**
 * Bare repositories that tests fill with whatever they need, hostile things included.
 *
 * @module
 */

/** An entry at a path of a commit. */
export type CommittedFile =
  | string
  | { readonly kind: "executable"; readonly text: string }
  | { readonly kind: "symlink"; readonly target: string }
  /** A commit of another repository. */
  | { readonly kind: "submodule"; readonly sha: string };

/** A commit to make. */
export interface NewCommit {
  /** All files of the commit, by path. */
  readonly files: Readonly<Record<string, CommittedFile>>;
  /** @default {"main"} */
  readonly branch?: string;
  /** @default {"A commit"} */
  readonly message?: string;
}

/** Options for {@linkcode createRepository}. */
export interface RepositoryOptions {
  /** Where it is served. */
  readonly url: string;
  /** Names its objects by SHA-256. */
  readonly sha256: boolean;
}

/** A bare repository. */
export interface GitRepository {
  readonly path: string;
  readonly url: string;
  /** Commits onto a branch, which is made if it is not there; returns the full id. */
  commit(commit: NewCommit): Promise<string>;
  /** Tags a commit; with a message it is an annotated tag. */
  tag(name: string, sha: string, message?: string): Promise<void>;
  /** Runs git in it, and returns what it printed, trimmed. */
  git(...args: readonly string[]): Promise<string>;
}

/** Makes an empty bare repository whose `HEAD` names `main`. */
export async function createRepository(
  path: string,
  { url, sha256 }: RepositoryOptions,
): Promise<GitRepository> {
  const format = sha256 ? "sha256" : "sha1";
  await git([
    "init",
    "--quiet",
    "--bare",
    "--initial-branch=main",
    `--object-format=${format}`,
    path,
  ]);
  const inside = (args: readonly string[], stdin?: string) => git(["-C", path, ...args], stdin);
  return {
    path,
    url,
    async commit({ files, branch = "main", message = "A commit" }) {
      const ref = `refs/heads/${branch}`;
      const parent = await inside(["for-each-ref", "--format=%(objectname)", ref]);
      await inside(
        ["fast-import", "--quiet", "--force"],
        importText({ files, message, ref, parent }),
      );
      return await inside(["rev-parse", "--verify", ref]);
    },
    async tag(name, sha, message) {
      await inside(message === undefined ? ["tag", name, sha] : ["tag", "-m", message, name, sha]);
    },
    git: (...args) => inside(args),
  };
}

/** The environment for git in tests: nothing of the account's own settings. */
export function plainGitEnv(): Readonly<Record<string, string>> {
  return {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: "/nonexistent",
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_AUTHOR_NAME: "A Tester",
    GIT_AUTHOR_EMAIL: "tester@example.org",
    GIT_COMMITTER_NAME: "A Tester",
    GIT_COMMITTER_EMAIL: "tester@example.org",
  };
}

/** Runs git with {@linkcode plainGitEnv}; returns what it printed, trimmed. */
export async function git(args: readonly string[], stdin = ""): Promise<string> {
  const child = new Deno.Command("git", {
    args: [...args],
    clearEnv: true,
    env: { ...plainGitEnv() },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [output] = await Promise.all([
    child.output(),
    new Blob([stdin]).stream().pipeTo(child.stdin),
  ]);
  const decoder = new TextDecoder();
  if (output.success) return decoder.decode(output.stdout).trim();
  throw new Error(`git ${args.join(" ")}: ${decoder.decode(output.stderr)}`);
}

interface ImportInput {
  readonly files: NewCommit["files"];
  readonly message: string;
  readonly ref: string;
  /** Empty for the first commit. */
  readonly parent: string;
}

/** The commit in the language of `git fast-import`. */
function importText({ files, message, ref, parent }: ImportInput): string {
  const lines = [`commit ${ref}`, "committer A Tester <tester@example.org> 1700000000 +0000"];
  lines.push(data(message));
  if (parent !== "") lines.push(`from ${parent}`);
  lines.push("deleteall");
  for (const [path, file] of Object.entries(files)) {
    if (typeof file === "string") lines.push(`M 100644 inline ${path}`, data(file));
    else if (file.kind === "executable") lines.push(`M 100755 inline ${path}`, data(file.text));
    else if (file.kind === "symlink") lines.push(`M 120000 inline ${path}`, data(file.target));
    else lines.push(`M 160000 ${file.sha} ${path}`);
  }
  return `${lines.join("\n")}\n`;
}

function data(text: string): string {
  return `data ${new TextEncoder().encode(text).byteLength}\n${text}`;
}
