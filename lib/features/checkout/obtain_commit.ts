/**
 * Brings the wanted commit from the remote into a repository, with as little talk as it takes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { GitRemote } from "@lib/spine/spec/git_url.ts";
import type { Git, GitAccess, GitCall } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";
import { hasCommit, type RefName } from "@lib/features/checkout/repository.ts";

/** What is to be had. */
export interface Wanted {
  /** Branch, tag or `refs/…`; absent: what the remote's `HEAD` names. */
  readonly ref: string | undefined;
  readonly sha: string | undefined;
}

/** What a remote says about a name. */
export interface RemoteRef extends RefName {
  /** The commit it stands for. */
  readonly commit: string;
}

/** A commit that is to be checked out. */
export interface Obtained {
  readonly sha: string;
  /** The name that stands for exactly this commit, if one was asked for. */
  readonly ref: RefName | undefined;
}

/** Where the commit goes, and how it is had. */
export interface ObtainInput {
  readonly git: Git;
  readonly access: GitAccess;
  readonly gitDir: string;
  /** Commits of history to fetch; 0: all. */
  readonly depth: number;
  /** Whether the repository keeps names for what it fetched, so that it knows what it has. */
  readonly keepsNames: boolean;
  /** What the remote said about the wanted name, if it was asked before. */
  readonly known: RemoteRef | undefined;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Asks the remote what a name stands for; a branch is preferred to a tag.
 *
 * @throws {GitFailure} `ref_not_found`, or why the remote did not answer.
 */
export async function askRemote(
  git: Git,
  ref: string | undefined,
  call: GitCall & { readonly access: GitAccess },
): Promise<RemoteRef> {
  const names = candidates(ref);
  const { remote } = call.access;
  const asked = names.flatMap((name) =>
    name.startsWith("refs/tags/") ? [name, `${name}^{}`] : name
  );
  const text = await git.run(["ls-remote", "--symref", "--", remote.url, ...asked], call);
  const answer = parseLsRemote(text);
  const name = names.find((one) => answer.shas.has(one));
  const sha = name === undefined ? undefined : answer.shas.get(name);
  if (name === undefined || sha === undefined) throw noSuchRef(ref, remote);
  return {
    name: answer.targets.get(name) ?? name,
    sha,
    commit: answer.shas.get(`${name}^{}`) ?? sha,
  };
}

/** The full names that a name may mean, the likeliest first. */
function candidates(ref: string | undefined): readonly string[] {
  if (ref === undefined || ref === "HEAD") return ["HEAD"];
  return ref.startsWith("refs/") ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`];
}

function noSuchRef(ref: string | undefined, { url }: GitRemote): GitFailure {
  return new GitFailure(
    "ref_not_found",
    ref === undefined
      ? `Cannot check out ${url}: it has no default branch; push one, or name a branch in \`git.ref\``
      : `Cannot check out ${url}: it has no branch or tag "${ref}"`,
  );
}

/** Reads what `git ls-remote --symref` prints. */
export function parseLsRemote(text: string): {
  readonly shas: ReadonlyMap<string, string>;
  /** What a symbolic name stands for. */
  readonly targets: ReadonlyMap<string, string>;
} {
  const shas = new Map<string, string>();
  const targets = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [left = "", name = ""] = line.split("\t");
    if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(left)) shas.set(name, left);
    const [, target] = /^ref: (refs\/\S+)$/.exec(left) ?? [];
    if (target !== undefined) targets.set(name, target);
  }
  return { shas, targets };
}

/**
 * Makes sure that the wanted commit is in the repository.
 *
 * A commit that is asked for by its id and is there already needs no network.
 *
 * @throws {GitFailure} If it cannot be had.
 */
export async function obtainCommit(wanted: Wanted, input: ObtainInput): Promise<Obtained> {
  const { sha } = wanted;
  if (sha === undefined) return await obtainRef(wanted.ref, input);
  if (await hasCommit(input.git, sha, localCall(input))) return { sha, ref: undefined };
  input.say(`Fetching commit ${sha} from ${input.access.remote.url}`);
  // A repository that keeps names profits from the whole branch; one that does not, takes the least.
  const ways = input.keepsNames
    ? [() => fetchNamed(wanted.ref, input), () => fetchSha(sha, input)]
    : [() => fetchSha(sha, input), () => fetchNamed(wanted.ref, { ...input, depth: 0 })];
  for (const way of [...ways, () => fetchAll(input)]) {
    await way();
    if (await hasCommit(input.git, sha, localCall(input))) return { sha, ref: undefined };
  }
  throw new GitFailure(
    "sha_not_served",
    `Cannot check out ${input.access.remote.url}: it has no commit ${sha}, or does not hand it ` +
      "out; push it to a branch",
  );
}

async function obtainRef(ref: string | undefined, input: ObtainInput): Promise<Obtained> {
  const { git, access } = input;
  const found = input.known ?? await askRemote(git, ref, { ...localCall(input), access });
  if (await hasRef(found, input)) return { sha: found.commit, ref: found };
  input.say(`Fetching ${found.name} from ${access.remote.url}`);
  await fetchInto(found.name, input);
  if (await hasRef(found, input)) return { sha: found.commit, ref: found };
  // It was pushed to between question and fetch: what came is what it stands for now.
  const now = await git.run(
    ["rev-parse", "--verify", `${fetchedName(found.name, input)}^{commit}`],
    localCall(input),
  );
  return { sha: now.trim(), ref: undefined };
}

/** A tag may be an object itself, which can be missing where its commit is not. */
async function hasRef({ sha, commit }: RemoteRef, input: ObtainInput): Promise<boolean> {
  if (!await hasCommit(input.git, commit, localCall(input))) return false;
  if (sha === commit) return true;
  return (await input.git.try(["cat-file", "-e", sha], localCall(input))).code === 0;
}

/** Fetches what a name stands for; one that is gone holds nothing, which is found out after. */
async function fetchNamed(ref: string | undefined, input: ObtainInput): Promise<void> {
  if (ref === undefined) return;
  try {
    const found = input.known ??
      await askRemote(input.git, ref, { ...localCall(input), access: input.access });
    await fetchInto(found.name, input);
  } catch (error) {
    if (!(error instanceof GitFailure && error.kind === "ref_not_found")) throw error;
    input.say(`There is no ${ref} at ${input.access.remote.url} any more; asking for the commit`);
  }
}

/** Not every server hands out what has no name. */
async function fetchSha(sha: string, input: ObtainInput): Promise<void> {
  try {
    await fetchInto(sha, input);
  } catch (error) {
    if (!(error instanceof GitFailure && error.kind === "sha_not_served")) throw error;
    input.say(`The server does not hand out ${sha} by itself; fetching all branches and tags`);
  }
}

async function fetchAll(input: ObtainInput): Promise<void> {
  const names = input.keepsNames
    ? ["heads", "tags"].map((kind) => `+refs/${kind}/*:${KEPT}/all/${kind}/*`)
    : ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
  await runFetch(["--prune", ...remoteArguments(input.access.remote, names)], input);
}

async function fetchInto(what: string, input: ObtainInput): Promise<void> {
  const depth = input.depth > 0 ? [`--depth=${input.depth}`] : [];
  const spec = input.keepsNames ? `+${what}:${fetchedName(what, input)}` : what;
  await runFetch([...depth, ...remoteArguments(input.access.remote, [spec])], input);
}

function remoteArguments({ url }: GitRemote, specs: readonly string[]): readonly string[] {
  return ["--", url, ...specs];
}

async function runFetch(args: readonly string[], input: ObtainInput): Promise<void> {
  await input.git.run(["fetch", "--quiet", "--no-tags", "--force", ...args], {
    ...localCall(input),
    access: input.access,
  });
}

const KEPT = "refs/cicd";

/** A branch `a` may become a branch `a/b`: under their hashes they are never in each other's way. */
function fetchedName(name: string, { keepsNames }: ObtainInput): string {
  if (!keepsNames) return "FETCH_HEAD";
  return `${KEPT}/one/${createHash("sha256").update(name).digest("hex").slice(0, 40)}`;
}

function localCall({ gitDir, signal }: ObtainInput): GitCall {
  return { gitDir, signal };
}
