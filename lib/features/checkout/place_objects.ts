/**
 * Gives a workspace the objects of a mirror.
 *
 * A job that runs as the account gets hard links to the mirror's packs: nothing is copied, and
 * nothing is lost if the mirror is removed while the job runs. Such a job could write to the mirror
 * anyway. A job in a container cannot, and must not be able to through a link, so it gets files of
 * its own. Alternates would do for neither: the container does not see the mirror, and a removed
 * mirror would break the repositories of running jobs.
 *
 * @module
 */
import type { Git } from "@lib/features/checkout/git_command.ts";
import { parseGitUrl } from "@lib/spine/spec/git_url.ts";

/** Options for {@linkcode placeObjects}. */
export interface PlaceInput {
  readonly git: Git;
  readonly mirror: string;
  /** The workspace's `.git`, which holds no objects yet. */
  readonly gitDir: string;
  readonly sha: string;
  /** Commits of history; 0: all. */
  readonly depth: number;
  /** Whether the job must have no file in common with the mirror. */
  readonly isolated: boolean;
  /**
   * Up to here copying all packs is cheaper than asking git for the part that is needed.
   *
   * @default {256 MiB}
   */
  readonly copyMaxBytes?: number;
  readonly signal: AbortSignal;
}

const COPY_MAX_BYTES = 256 * 1024 * 1024;
/** Most lines of history that are looked at to find where it is cut. */
const LISTED_COMMITS = 4_000;

/** Places the objects of `sha`, with as much history as is asked for; the mirror must be locked. */
export async function placeObjects(input: PlaceInput): Promise<void> {
  const { mirror, gitDir, depth, isolated, copyMaxBytes = COPY_MAX_BYTES, signal } = input;
  const from = `${mirror}/objects/pack`;
  const files: string[] = [];
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (!isFile || !/^pack-[0-9a-f]+\.(?:pack|idx|rev)$/.test(name)) continue;
    files.push(name);
    bytes += (await Deno.stat(`${from}/${name}`)).size;
  }
  if (isolated && depth > 0 && bytes > copyMaxBytes) return await fetchPart(input);
  // An index without its pack is a fault, a pack without its index is nothing: so packs go first.
  for (const name of files.sort().reverse()) {
    signal.throwIfAborted();
    await place(`${from}/${name}`, `${gitDir}/objects/pack/${name}`, isolated);
  }
  await cutHistory(input);
}

async function place(from: string, to: string, isolated: boolean): Promise<void> {
  if (!isolated) {
    try {
      return await Deno.link(from, to);
    } catch (error) {
      // Another file system, or one without links.
      if (error instanceof Deno.errors.NotFound) throw error;
    }
  }
  await Deno.copyFile(from, to);
}

/** Lets git make a pack of what is needed. */
async function fetchPart({ git, mirror, gitDir, sha, depth, signal }: PlaceInput): Promise<void> {
  const parsed = parseGitUrl(`file://${mirror}`);
  if (parsed.kind === "refused") throw new RangeError(`The mirror's path ${parsed.message}`);
  const { remote } = parsed;
  const serve = ["-c", "uploadpack.allowAnySHA1InWant=true"];
  const fetch = ["fetch", "--quiet", "--no-tags", `--depth=${depth}`, "--", remote.url, sha];
  await git.run([...serve, ...fetch], {
    gitDir,
    access: { remote, askpass: undefined, token: undefined },
    signal,
  });
  await Deno.remove(`${gitDir}/FETCH_HEAD`);
}

/** The objects are all there; `shallow` says where the history is to end. */
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
 * The commits whose parents are cut off, so that `depth` commits of each line of history stay.
 *
 * @param listed What `git rev-list --parents` prints; where it ends, history is cut too.
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
