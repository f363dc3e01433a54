/**
 * What was restored before a job, for what is saved after it: an agent may die in between.
 *
 * @module
 */
import * as v from "valibot";
import { readIfThere, writeAtomic } from "@lib/foundations/files/records.ts";
import type { AttemptFolder } from "@lib/spine/jobs/attempt_folder.ts";

const record = v.object({
  /** The key as the checkout had it; the job may change the key files. */
  key: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** `near`: an entry of another key. */
  hit: v.picklist(["exact", "near", "miss"]),
  /** Without key files an entry is never final, and is saved anew each time. */
  isRolling: v.boolean(),
});

/** What became of a cache before the job. */
export type CacheRecord = v.InferOutput<typeof record>;

/** Writes the records, by the name of the cache. */
export function writeCacheRecords(
  folder: AttemptFolder,
  records: ReadonlyMap<string, CacheRecord>,
): Promise<void> {
  return writeAtomic(fileOf(folder), JSON.stringify(Object.fromEntries(records)));
}

/** Reads them; none if nothing was restored. */
export async function readCacheRecords(
  folder: AttemptFolder,
): Promise<ReadonlyMap<string, CacheRecord>> {
  const text = await readIfThere(fileOf(folder));
  if (text === undefined || text.trim() === "") return new Map();
  return new Map(Object.entries(v.parse(v.record(v.string(), record), JSON.parse(text))));
}

function fileOf({ path }: AttemptFolder): string {
  return `${path}/caches.json`;
}
