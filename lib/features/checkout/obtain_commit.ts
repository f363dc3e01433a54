/**
 * Fetches the wanted commit into a repository, with as few requests as possible.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Git, GitAccess, GitCall } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";
import { hasCommit, type RefName } from "@lib/features/checkout/repository.ts";

/** The commit to check out. */
export interface Wanted {
  /** Branch, tag or `refs/…`; absent: the remote's `HEAD`. */
  readonly ref: string | undefined;
  readonly sha: string | undefined;
}

/** A ref of a remote. */
export interface RemoteRef extends RefName {
  /** The commit that it points to. */
  readonly commit: string;
}

/** A commit that is in the repository. */
export interface Obtained {
  readonly sha: string;
  /** The full name of the requested ref, if it holds this commit. */
  readonly name: string | undefined;
  /** The requested ref, if it points to this commit. */
  readonly ref: RefName | undefined;
}

/** Options for {@linkcode obtainCommit}. */
export interface ObtainInput {
  readonly git: Git;
  readonly access: GitAccess;
  readonly gitDir: string;
  /** Commits of history to fetch; 0: all. */
  readonly depth: number;
  /** Keeps refs for fetched commits, so that later fetches can build on them. */
  readonly keepsNames: boolean;
  /** The wanted ref at the remote, if it was queried before. */
  readonly known: RemoteRef | undefined;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Resolves a ref at the remote; a branch takes precedence over a tag.
 *
 * @throws {GitFailure} `ref_not_found`, or the failure of the remote.
 */
export async function queryRemote(
  git: Git,
  ref: string | undefined,
  call: GitCall & { readonly access: GitAccess },
): Promise<RemoteRef> {
  const names = candidates(ref);
  const { remote } = call.access;
  const patterns = names.flatMap((name) =>
    name.startsWith("refs/tags/") ? [name, `${name}^{}`] : name
  );
  const text = await git.run(["ls-remote", "--symref", "--", remote.url, ...patterns], call);
  const { shas, targets } = parseLsRemote(text);
  for (const name of names) {
    const sha = shas.get(name);
    if (sha === undefined) continue;
    return { name: targets.get(name) ?? name, sha, commit: shas.get(`${name}^{}`) ?? sha };
  }
  const problem = ref === undefined
    ? "it has no default branch; push one, or name a branch in `git.ref`"
    : `it has no branch or tag "${ref}"`;
  throw new GitFailure("ref_not_found", `Cannot check out ${remote.url}: ${problem}`);
}

/** Returns the full names that a name may mean, by precedence. */
function candidates(ref: string | undefined): readonly string[] {
  if (ref === undefined || ref === "HEAD") return ["HEAD"];
  return ref.startsWith("refs/") ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`];
}

/** Parses the output of `git ls-remote --symref`. */
export function parseLsRemote(text: string): {
  readonly shas: ReadonlyMap<string, string>;
  /** The targets of symbolic refs. */
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
 * Ensures that the wanted commit is in the repository.
 *
 * A commit requested by its id that is there already needs no network.
 *
 * @throws {GitFailure} If it cannot be fetched.
 */
export async function obtainCommit(wanted: Wanted, input: ObtainInput): Promise<Obtained> {
  const { sha, ref } = wanted;
  if (sha === undefined) return await obtainRef(ref, input);
  const found = new NamedRef(ref, input);
  if (!await hasCommit(input.git, sha, localCall(input))) await fetchCommit(sha, found, input);
  return { sha, ...await found.resolve(sha) };
}

async function fetchCommit(sha: string, named: NamedRef, input: ObtainInput): Promise<void> {
  input.say(`Fetching commit ${sha} from ${input.access.remote.url}`);
  // A repository that keeps refs benefits from the whole branch; another takes the minimum.
  const ways = input.keepsNames
    ? [() => named.fetch(input.depth), () => fetchSha(sha, input)]
    : [() => fetchSha(sha, input), () => named.fetch(0)];
  for (const way of [...ways, () => fetchAll(input)]) {
    await way();
    if (await hasCommit(input.git, sha, localCall(input))) return;
  }
  throw new GitFailure(
    "sha_not_served",
    `Cannot check out ${input.access.remote.url}: it has no commit ${sha}, or does not serve it; ` +
      "push it to a branch",
  );
}

async function obtainRef(ref: string | undefined, input: ObtainInput): Promise<Obtained> {
  const { git, access } = input;
  const found = input.known ?? await queryRemote(git, ref, { ...localCall(input), access });
  const { name } = found;
  if (await hasRef(found, input)) return { sha: found.commit, name, ref: found };
  input.say(`Fetching ${name} from ${access.remote.url}`);
  await fetchInto(name, input);
  if (await hasRef(found, input)) return { sha: found.commit, name, ref: found };
  // The ref moved between query and fetch: take what was fetched.
  const fetched = fetchedName(name, input);
  const parse = async (what: string) =>
    (await git.run(["rev-parse", "--verify", what], localCall(input))).trim();
  return {
    sha: await parse(`${fetched}^{commit}`),
    name,
    ref: { name, sha: await parse(fetched) },
  };
}

/** The ref that a job names beside its commit. It may be gone, or hold another commit. */
class NamedRef {
  readonly #ref: string | undefined;
  readonly #input: ObtainInput;
  #query: Promise<RemoteRef | undefined> | undefined;
  #isFetched = false;

  constructor(ref: string | undefined, input: ObtainInput) {
    this.#ref = ref;
    this.#input = input;
  }

  /** Fetches it, if it still exists. */
  async fetch(depth: number): Promise<void> {
    const found = await this.#find();
    if (found === undefined || this.#isFetched) return;
    await fetchInto(found.name, { ...this.#input, depth });
    this.#isFetched = true;
  }

  /**
   * Finds its name if it holds the commit, which is here: a tag that stands for it, or any other ref
   * whose history contains it. What an earlier fetch shows is not asked for again.
   */
  async resolve(sha: string): Promise<Pick<Obtained, "name" | "ref">> {
    const { keepsNames, access } = this.#input;
    if (this.#ref === undefined) return NO_NAME;
    for (const name of keepsNames && !this.#isFetched ? candidates(this.#ref) : []) {
      const tip = await this.#parse(fetchedName(name, this.#input));
      const held = tip === undefined ? undefined : await this.#held(name, sha, tip);
      if (held !== undefined) return held;
    }
    const found = await this.#find();
    if (found === undefined) return NO_NAME;
    // A repository without names holds only a part of the history.
    if (keepsNames || found.commit === sha) {
      if (!await hasRef(found, this.#input)) await this.fetch(this.#input.depth);
      const held = await this.#held(found.name, sha, found.sha);
      if (held !== undefined) return held;
    }
    const said = keepsNames ? "does not hold" : "does not point to";
    this.#input.say(`${found.name} of ${access.remote.url} ${said} ${sha}`);
    return NO_NAME;
  }

  async #held(name: string, sha: string, tip: string) {
    const commit = await this.#parse(`${tip}^{commit}`);
    if (commit === sha) return { name, ref: { name, sha: tip } };
    if (commit === undefined || name.startsWith("refs/tags/")) return undefined;
    const args = ["merge-base", "--is-ancestor", sha, commit];
    const { code } = await this.#input.git.try(args, localCall(this.#input));
    return code === 0 ? { name, ref: undefined } : undefined;
  }

  async #parse(what: string): Promise<string | undefined> {
    const args = ["rev-parse", "--quiet", "--verify", "--end-of-options", what];
    const { code, stdout } = await this.#input.git.try(args, localCall(this.#input));
    return code === 0 ? stdout.trim() : undefined;
  }

  #find(): Promise<RemoteRef | undefined> {
    this.#query ??= this.#ask();
    return this.#query;
  }

  async #ask(): Promise<RemoteRef | undefined> {
    const { git, access, known, say } = this.#input;
    if (this.#ref === undefined) return undefined;
    try {
      return known ?? await queryRemote(git, this.#ref, { ...localCall(this.#input), access });
    } catch (error) {
      if (!(error instanceof GitFailure && error.kind === "ref_not_found")) throw error;
      say(`${access.remote.url} no longer has ${this.#ref}`);
      return undefined;
    }
  }
}

const NO_NAME = { name: undefined, ref: undefined };

/** An annotated tag is an object itself, which can be missing although its commit is there. */
async function hasRef({ sha, commit }: RemoteRef, input: ObtainInput): Promise<boolean> {
  if (!await hasCommit(input.git, commit, localCall(input))) return false;
  if (sha === commit) return true;
  return (await input.git.try(["cat-file", "-e", sha], localCall(input))).code === 0;
}

/** Not every server serves commits by their id. */
async function fetchSha(sha: string, input: ObtainInput): Promise<void> {
  try {
    await fetchInto(sha, input);
  } catch (error) {
    if (!(error instanceof GitFailure && error.kind === "sha_not_served")) throw error;
    input.say(`The server does not serve ${sha} by its id; fetching all branches and tags`);
  }
}

async function fetchAll(input: ObtainInput): Promise<void> {
  const names = input.keepsNames
    ? ["heads", "tags"].map((kind) => `+refs/${kind}/*:${KEPT}/all/${kind}/*`)
    : ["+refs/heads/*:refs/remotes/origin/*", TAGS];
  await runFetch(["--prune"], names, input);
}

/** Fetches all tags with at most `depth` commits of their history, and drops those that are gone. */
export async function fetchTags(input: ObtainInput): Promise<void> {
  await runFetch(["--prune", ...depthOption(input)], [TAGS], input);
}

/** Tags keep their names: no other ref of a mirror is below `refs/tags`. */
const TAGS = "+refs/tags/*:refs/tags/*";

async function fetchInto(what: string, input: ObtainInput): Promise<void> {
  const spec = input.keepsNames ? `+${what}:${fetchedName(what, input)}` : what;
  await runFetch(depthOption(input), [spec], input);
}

function depthOption({ depth }: ObtainInput): readonly string[] {
  return depth > 0 ? [`--depth=${depth}`] : [];
}

async function runFetch(
  options: readonly string[],
  specs: readonly string[],
  input: ObtainInput,
): Promise<void> {
  const { git, access } = input;
  const fetch = ["fetch", "--quiet", "--no-tags", "--force", ...options];
  await git.run([...fetch, "--", access.remote.url, ...specs], { ...localCall(input), access });
}

const KEPT = "refs/cicd";

/** Hashes names: a branch `a` may later become `a/b`, which would conflict. */
function fetchedName(name: string, { keepsNames }: ObtainInput): string {
  if (!keepsNames) return "FETCH_HEAD";
  return `${KEPT}/one/${createHash("sha256").update(name).digest("hex").slice(0, 40)}`;
}

function localCall({ gitDir, signal }: ObtainInput): GitCall {
  return { gitDir, signal };
}
