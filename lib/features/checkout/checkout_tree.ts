/**
 * Checks out a repository with its submodules and its files in Git LFS.
 *
 * @module
 */
import { urlIssue } from "@lib/spine/spec/git_policy.ts";
import {
  type CheckedOutRepository,
  type CheckoutJob,
  type CheckoutOrder,
  checkOutRepository,
  emptyDirectory,
} from "@lib/features/checkout/checkout_repository.ts";
import { checkOutLfs, requireLfs } from "@lib/features/checkout/lfs.ts";
import { GitFailure, plainText } from "@lib/features/checkout/git_failure.ts";
import { activateSubmodule } from "@lib/features/checkout/repository.ts";
import {
  listSubmodules,
  resolveSubmoduleUrl,
  type Submodule,
} from "@lib/features/checkout/submodules.ts";

/** Parts to check out besides the repository itself. */
export interface TreeParts {
  readonly submodules: boolean;
  readonly lfs: boolean;
}

/** Deepest nesting of submodules. */
const NESTING_MAX = 8;
/** Most submodules in total. */
const TOTAL_MAX = 512;

/**
 * Checks out a repository and, if requested, its submodules and their submodules.
 *
 * @throws {GitFailure} If any part of the checkout fails.
 */
export async function checkOutTree(
  job: CheckoutJob,
  order: CheckoutOrder,
  parts: TreeParts,
): Promise<CheckedOutRepository> {
  if (parts.lfs) await requireLfs(job.git, { gitDir: job.nowhere, signal: job.signal });
  return await checkOutLevel(job, order, { ...parts, level: 0, count: { submodules: 0 } });
}

interface Level extends TreeParts {
  readonly level: number;
  readonly count: { submodules: number };
}

async function checkOutLevel(
  job: CheckoutJob,
  order: CheckoutOrder,
  level: Level,
): Promise<CheckedOutRepository> {
  const { git, signal } = job;
  const done = await checkOutRepository(job, order);
  const call = { gitDir: `${order.target}/.git`, workTree: order.target, signal };
  if (level.lfs) {
    await checkOutLfs(job, order);
  }
  if (!level.submodules) return done;
  for (const submodule of await listSubmodules(git, call)) {
    if (submodule.isSkipped) {
      job.say(`Submodule ${plainText(submodule.path, 200)}: skipped (update = none)`);
      continue;
    }
    level.count.submodules++;
    if (level.level >= NESTING_MAX || level.count.submodules > TOTAL_MAX) {
      throw refused(submodule, "there are too many, or they contain each other");
    }
    await checkOutSubmodule(job, order, { ...level, submodule });
  }
  return done;
}

async function checkOutSubmodule(
  job: CheckoutJob,
  { remote, target, depth, tags }: CheckoutOrder,
  { submodule, ...level }: Level & { readonly submodule: Submodule },
): Promise<void> {
  const parsed = resolveSubmoduleUrl(remote, submodule.url, job.credentials?.origin);
  const problem = urlIssue(parsed, job);
  if (parsed.kind === "refused" || problem !== undefined) {
    throw refused(submodule, `its address ${problem ?? ""}`);
  }
  const url = parsed.remote.url;
  const directory = await realDirectory(target, submodule);
  await emptyDirectory(directory);
  job.say(`Submodule ${plainText(submodule.path, 200)}: ${submodule.sha} of ${url}`);
  try {
    await checkOutLevel(job, {
      remote: parsed.remote,
      wanted: { ref: undefined, sha: submodule.sha },
      ...{ depth, tags },
      target: directory,
    }, { ...level, level: level.level + 1 });
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
    const message = error.message.startsWith("In submodule")
      ? error.message
      : `In submodule "${plainText(submodule.path, 200)}": ${error.message}`;
    throw new GitFailure(error.kind, message, { cause: error });
  }
  await activateSubmodule(`${target}/.git`, { name: submodule.name, url });
}

/** Returns the directory that git made for a submodule; a link in its place would lead elsewhere. */
async function realDirectory(target: string, submodule: Submodule): Promise<string> {
  let directory = target;
  for (const part of submodule.path.split("/")) {
    directory = `${directory}/${part}`;
    const info = await Deno.lstat(directory).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (info?.isDirectory !== true) throw refused(submodule, "its path is not a directory");
  }
  return directory;
}

function refused({ path }: Submodule, why: string): GitFailure {
  return new GitFailure(
    "refused",
    `Cannot check out submodule "${plainText(path, 200)}": ${plainText(why, 300)}`,
  );
}
