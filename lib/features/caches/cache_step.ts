/**
 * Restores caches before a job and saves them after it: the step `caches`.
 *
 * @module
 */
import * as v from "valibot";
import type { Clock } from "@lib/core/clock.ts";
import { messageOf } from "@lib/core/errors.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { formatSize } from "@lib/core/size.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { CacheSpec } from "@lib/spine/spec/job_spec.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptStep, SetupContext } from "@lib/spine/jobs/step.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { exists, readIfThere, writeAtomic } from "@lib/foundations/files/records.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import type { CacheLimits } from "@lib/features/caches/keys.ts";
import {
  type Archiver,
  archiverFinder,
  cacheKey,
  extract,
  measure,
  pack,
  place,
} from "@lib/features/caches/cache_archive.ts";
import { makeRoom, type ReadyCopies } from "@lib/features/caches/ready_copies.ts";
import {
  type CacheEntry,
  cachesPath,
  entryPath,
  listCaches,
  listEntries,
  packingOf,
  planCacheEviction,
  removeCache,
} from "@lib/features/caches/cache_store.ts";

/** The result of restoring a cache before a job, on disk as the agent may die before it is saved. */
const record = v.object({
  /** The key at the checkout; the job may change the key files. */
  key: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** `near`: an entry of another key. */
  hit: v.picklist(["exact", "near", "miss"]),
  /** Without key files an entry is never final, so it is saved after each job. */
  isRolling: v.boolean(),
  /** The size of what was restored, unpacked. */
  bytes: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
});

type CacheRecord = v.InferOutput<typeof record>;

/** Options for {@linkcode cacheStep}. */
interface CacheStepOptions {
  readonly stateDir: string;
  /** Read for each job, so that a reloaded configuration applies. */
  readonly limits: () => CacheLimits;
  readonly run: RunCommand;
  /** The agent's own environment; only its `PATH` is used. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Absent: every restore unpacks. */
  readonly ready?: Pick<ReadyCopies, "take" | "want">;
}

/**
 * Returns the step.
 *
 * A cache that cannot be restored or saved never fails a job: the log, or the job's message, reports
 * it. Jobs may use a cache at once; the last to save an entry wins.
 */
export function cacheStep(options: CacheStepOptions): AttemptStep {
  const tools = { ...options, archiver: archiverFinder(options) };
  return {
    name: "caches",
    needed: ({ caches = [] }) => caches.length > 0,
    before: (context, signal) => restoreAll(context, tools, signal),
    after: (context, outcome, signal) => saveAll(context, outcome, { ...tools, signal }),
  };
}

interface Tools extends CacheStepOptions {
  /** Returns `tar`, with the best packing of this machine. */
  readonly archiver: (signal: AbortSignal) => Promise<Archiver>;
}

async function restoreAll(
  { ref, spec: { caches = [] }, directory, say }: SetupContext,
  tools: Tools,
  signal: AbortSignal,
): Promise<void> {
  const records = new Map<string, CacheRecord>();
  for (const cache of caches) {
    try {
      const { key, files } = await cacheKey(cache, directory.workspace, signal);
      if (files === 0 && cache.keyFiles.length > 0) {
        say(`Cache "${cache.name}": no key file was found; all jobs share one entry`);
      }
      const store = { directory: cachesPath(tools.stateDir, ref.project), project: ref.project };
      const result = await restore(cache, { store, key, attempt: directory, say, tools, signal });
      records.set(cache.name, { key, ...result, isRolling: files === 0 });
    } catch (error) {
      signal.throwIfAborted();
      say(`Cache "${cache.name}": could not be restored: ${messageOf(error)}`);
    }
  }
  await writeAtomic(recordsPath(directory), JSON.stringify(Object.fromEntries(records)));
}

interface Restore {
  readonly store: { readonly directory: string; readonly project: CacheEntry["project"] };
  readonly key: string;
  readonly attempt: AttemptDirectory;
  readonly say: (line: string) => void;
  readonly tools: Tools;
  readonly signal: AbortSignal;
}

/** Restores the entry of the key, or else the one that was used last. */
async function restore(
  cache: CacheSpec,
  options: Restore,
): Promise<Pick<CacheRecord, "hit" | "bytes">> {
  const { store: { directory, project }, key, say, tools: { clock } } = options;
  const entries = await listEntries(directory, { project, name: cache.name });
  const newestFirst = entries.toSorted((a, b) => b.lastUsedAt - a.lastUsedAt);
  const entry = newestFirst.find((one) => one.key === key) ?? newestFirst[0];
  if (entry === undefined) {
    say(`Cache "${cache.name}": nothing saved yet; this job's key is ${shown(key)}`);
    return { hit: "miss" };
  }
  const begun = clock.now();
  const result = await restoreEntry(cache, entry, options);
  if (typeof result === "string") {
    say(`Cache "${cache.name}": could not be restored: ${result}`);
    return { hit: "miss" };
  }
  const took = formatDuration(clock.now() - begun);
  say(`Cache "${cache.name}": ${restoredText(cache, { entry, key, result })} in ${took}`);
  return { hit: entry.key === key ? "exact" : "near", bytes: result.bytes };
}

/** Such as `restored 48M into .npm from the entry of this key, 3f2a9c1b04de (12M packed),`. */
function restoredText(
  { paths }: CacheSpec,
  { entry, key, result }: {
    readonly entry: CacheEntry;
    readonly key: string;
    readonly result: Unpacked;
  },
): string {
  const from = entry.key === key
    ? `from the entry of this key, ${shown(key)}`
    : `from the latest entry, ${shown(entry.key)}, as none has the key ${shown(key)}`;
  const missing = paths.filter((path) => !result.paths.includes(path));
  const what = result.paths.length === 0
    ? "restored nothing"
    : `restored ${formatSize(result.bytes)} into ${result.paths.join(", ")}`;
  const without = missing.length === 0 ? "" : `; the entry has nothing for ${missing.join(", ")};`;
  return `${what} ${from} (${formatSize(entry.bytes)} packed)${without}`;
}

/** The result of restoring an entry. */
interface Unpacked {
  /** The paths that the archive had. */
  readonly paths: readonly string[];
  /** The size of the unpacked archive. */
  readonly bytes: number;
}

/** Returns the part of a key that lines show. */
function shown(key: string): string {
  return key.slice(0, 12);
}

/** Restores an entry; returns why it could not. */
async function restoreEntry(
  { paths }: CacheSpec,
  entry: CacheEntry,
  { attempt, tools, signal }: Restore,
): Promise<Unpacked | string> {
  const stage = `${attempt.path}/cache.tmp`;
  const archive = `${stage}/archive`;
  const files = `${stage}/files`;
  await removeTree(stage);
  try {
    await Deno.mkdir(files, { recursive: true, mode: 0o700 });
    // A second name: the entry may be removed while it is read.
    await Deno.link(entry.path, archive);
    const now = tools.clock.now();
    await Deno.utime(archive, now / 1_000, now / 1_000);
    const bytes = await tools.ready?.take({ path: entry.path, archive, to: files }, signal) ??
      await extract(
        { ...await tools.archiver(signal), packing: packingOf(entry.path) },
        { archive, to: files },
        signal,
      );
    const { workspace } = attempt;
    return { paths: place({ stage: files, workspace, paths }, signal), bytes };
  } catch (error) {
    signal.throwIfAborted();
    return messageOf(error);
  } finally {
    await removeTree(stage);
  }
}

async function saveAll(
  context: AttemptHandle,
  { state }: AttemptOutcome,
  tools: Tools & { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { ref: { project }, spec: { caches = [] }, directory } = context;
  const { stateDir, limits, clock, signal } = tools;
  const notes: string[] = [];
  try {
    const records = await readCacheRecords(directory);
    for (const cache of caches) {
      const record = records.get(cache.name);
      if (record === undefined) continue;
      if (record.hit === "exact" && (!record.isRolling || state !== "succeeded")) {
        await wantAgain(cache, { ...record, store: cachesPath(stateDir, project), tools });
        continue;
      }
      if (state !== "succeeded") continue;
      notes.push(await save(cache, { context, key: record.key, tools, signal }));
    }
    if (state !== "succeeded") return [];
    await makeRoom(stateDir, project, limits());
    const entries = await listCaches(stateDir, project);
    for (const entry of planCacheEviction(entries, { ...limits(), now: clock.now() })) {
      await removeCache(entry);
    }
  } catch (error) {
    signal.throwIfAborted();
    notes.push(`The caches could not be saved: ${messageOf(error)}`);
  }
  return notes;
}

/** Has the entry that a job used made ready for the next one. */
async function wantAgain(
  { name }: CacheSpec,
  { key, bytes, store, tools: { ready } }: CacheRecord & {
    readonly store: string;
    readonly tools: Pick<Tools, "ready">;
  },
): Promise<void> {
  if (ready === undefined || bytes === undefined) return;
  for (const packing of ["zstd", "none"] as const) {
    const path = entryPath(store, { name, key, packing });
    if (await exists(path)) ready.want({ path, bytes });
  }
}

/** Saves an entry; returns a sentence on what was saved, or why nothing was. */
async function save(
  { name, paths }: CacheSpec,
  { context: { ref, directory: { workspace } }, key, tools, signal }: {
    readonly context: AttemptHandle;
    readonly key: string;
    readonly tools: Tools;
    readonly signal: AbortSignal;
  },
): Promise<string> {
  const notSaved = (why: string) => `The cache "${name}" was not saved: ${why}`;
  const { stateDir, limits, clock } = tools;
  const directory = cachesPath(stateDir, ref.project);
  // An agent that was killed while it saved may have left the same draft.
  const draft = `${directory}/.tmp-${ref.jobId}-${ref.number}`;
  try {
    await removeTree(draft);
    const content = await measure(workspace, paths, signal);
    if (content.paths.length === 0) return notSaved(`nothing is at ${paths.join(", ")}`);
    const { maxBytes } = limits();
    if (content.bytes > maxBytes) {
      const sizes = [content.bytes, maxBytes].map(formatSize);
      return notSaved(`it has ${sizes[0]}, and the caches of a project at most ${sizes[1]}`);
    }
    const archiver = await tools.archiver(signal);
    await Deno.mkdir(`${directory}/${name}`, { recursive: true, mode: 0o700 });
    const begun = clock.now();
    await makeDraft(draft);
    const bytes = await pack(archiver, { workspace, paths: content.paths, archive: draft }, signal);
    const { size } = await Deno.stat(draft);
    const now = clock.now();
    await Deno.utime(draft, now / 1_000, now / 1_000);
    const path = entryPath(directory, { name, key, packing: archiver.packing });
    await Deno.rename(draft, path);
    tools.ready?.want({ path, bytes });
    const took = formatDuration(now - begun);
    return `Saved the cache "${name}" under the key ${shown(key)}: ${formatSize(bytes)} of ${
      content.paths.join(", ")
    } (${formatSize(size)} packed) in ${took}`;
  } catch (error) {
    signal.throwIfAborted();
    return notSaved(messageOf(error));
  } finally {
    await removeTree(draft);
  }
}

/** Makes the archive's file, so that it is private while tar writes it. */
async function makeDraft(path: string): Promise<void> {
  using _file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
}

/** Reads the records by the name of the cache; none if nothing was restored. */
async function readCacheRecords(
  directory: AttemptDirectory,
): Promise<ReadonlyMap<string, CacheRecord>> {
  const text = await readIfThere(recordsPath(directory));
  if (text === undefined || text.trim() === "") return new Map();
  return new Map(Object.entries(v.parse(v.record(v.string(), record), JSON.parse(text))));
}

function recordsPath({ path }: AttemptDirectory): string {
  return `${path}/caches.json`;
}
