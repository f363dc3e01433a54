/**
 * Copies or links the objects of a mirror into a workspace.
 *
 * A job that runs as the account gets hard links to the mirror's packs: nothing is copied, and the
 * mirror can be removed while the job runs. Such a job could write to the mirror anyway. A job in a
 * container cannot, and a link would let it, so it gets its own files. Alternates suit neither: the
 * container does not see the mirror, and removing it would break the repositories of running jobs.
 *
 * @module
 */
import type { Git } from "@lib/features/checkout/git_command.ts";
import { parseGitUrl } from "@lib/spine/spec/git_url.ts";

/** Options for {@linkcode placeObjects}. */
export interface PlaceInput {
  readonly git: Git;
  readonly mirror: string;
  /** The workspace's `.git`, without objects. */
  readonly gitDir: string;
  readonly sha: string;
  /** The same, or the annotated tag that stands for it. */
  readonly tip: string;
  /** Commits of history; 0: all. */
  readonly depth: number;
  /** Brings the mirror's tags too. */
  readonly tags: boolean;
  /** Forbids shared files with the mirror. */
  readonly isolated: boolean;
  /** Up to here, copying all packs is cheaper than a fetch of the needed part. @default {256 MiB} */
  readonly copyMaxBytes?: number;
  readonly signal: AbortSignal;
}

const COPY_MAX_BYTES = 256 * 1024 * 1024;
/** Most commits that are searched for the cut of the history. */
const LISTED_COMMITS = 4_000;

/** Places the objects of `sha` and its history; the mirror must be locked. */
export async function placeObjects(input: PlaceInput): Promise<void> {
  const { mirror, gitDir, depth, tags, isolated, copyMaxBytes = COPY_MAX_BYTES, signal } = input;
  // Git finds where the histories of so many commits end.
  if (tags && depth > 0) return await fetchPart(input);
  const from = `${mirror}/objects/pack`;
  const files: string[] = [];
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (!isFile || !/^pack-[0-9a-f]+\.(?:pack|idx|rev)$/.test(name)) continue;
    files.push(name);
    bytes += (await Deno.stat(`${from}/${name}`)).size;
  }
  if (isolated && depth > 0 && bytes > copyMaxBytes) return await fetchPart(input);
  // Packs first: git ignores a pack without its index, but fails on an index without its pack.
  for (const name of files.sort().reverse()) {
    signal.throwIfAborted();
    await place(`${from}/${name}`, `${gitDir}/objects/pack/${name}`, isolated);
  }
  await cutHistory(input);
  if (tags) await listTags(input);
}

async function listTags({ git, mirror, gitDir, signal }: PlaceInput): Promise<void> {
  const args = ["for-each-ref", "--format=%(objectname) %(refname)", "refs/tags"];
  await Deno.writeTextFile(
    `${gitDir}/packed-refs`,
    await git.run(args, { gitDir: mirror, signal }),
  );
}

/** Links a file, or copies it if it must be the workspace's own or cannot be linked. */
export async function place(from: string, to: string, isolated: boolean): Promise<void> {
  if (isolated || !await tryLink(from, to)) await Deno.copyFile(from, to);
  // An earlier release fetched under a umask that took the group's and others' part away.
  await Deno.chmod(to, 0o444);
}

/** Returns false on another file system, or on one without hard links. */
async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await Deno.link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw error;
    return false;
  }
}

/** Lets git make a pack of the needed part. */
async function fetchPart(
  { git, mirror, gitDir, tip, depth, tags, signal }: PlaceInput,
): Promise<void> {
  const parsed = parseGitUrl(`file://${mirror}`);
  if (parsed.kind === "refused") throw new RangeError(`The mirror's path ${parsed.message}`);
  const { remote } = parsed;
  const serve = ["-c", "uploadpack.allowAnySHA1InWant=true"];
  const fetch = ["fetch", "--quiet", "--no-tags", `--depth=${depth}`, "--", remote.url, tip];
  await git.run([...serve, ...fetch, ...(tags ? ["+refs/tags/*:refs/tags/*"] : [])], {
    gitDir,
    access: { remote, askpass: undefined, token: undefined },
    signal,
  });
  await Deno.remove(`${gitDir}/FETCH_HEAD`);
}

/** All objects are there; `shallow` lists where the history ends. */
async function cutHistory({ git, mirror, gitDir, sha, depth, signal }: PlaceInput): Promise<void> {
  if (depth === 0) return;
  const count = `--max-count=${LISTED_COMMITS}`;
  const call = { gitDir: mirror, signal };
  const cut = depth === 1
    ? [sha]
    : shallowCommits(await git.run(["rev-list", "--parents", count, sha, "--"], call), depth);
  if (cut.length > 0) await Deno.writeTextFile(`${gitDir}/shallow`, `${cut.join("\n")}\n`);
}

/**
 * Returns the commits to cut after, so that `depth` commits of each line of history stay.
 *
 * @param listed The output of `git rev-list --parents`; the history is also cut where it ends.
 */
export function shallowCommits(listed: string, depth: number): readonly string[] {
  const parentsOf = new Map<string, readonly string[]>();
  let level: readonly string[] = [];
  for (const line of listed.split("\n")) {
    const [commit, ...parents] = line.split(" ");
    if (commit === undefined || commit === "") continue;
    if (parentsOf.size === 0) level = [commit];
    parentsOf.set(commit, parents);
  }
  const cut: string[] = [];
  const seen = new Set(level);
  for (let left = depth; level.length > 0; left--) {
    const next: string[] = [];
    for (const commit of level) {
      const parents = parentsOf.get(commit) ?? [];
      if (parents.length === 0) continue;
      if (left <= 1 || parents.some((parent) => !parentsOf.has(parent))) {
        cut.push(commit);
        continue;
      }
      for (const parent of parents) {
        if (!seen.has(parent)) next.push(parent);
        seen.add(parent);
      }
    }
    level = next;
  }
  return cut.sort();
}
