/**
 * The record of an upgrade under way: whoever finds it after a crash can go on, or go back.
 *
 * @module
 */
import * as v from "valibot";
import { readIfThere, removeIfThere, writeAtomic } from "@lib/foundations/files/records.ts";
import type { Installation } from "@lib/features/install/upgrade/installed.ts";
import { syncDirectory } from "@lib/features/install/upgrade/unpack.ts";

const activeSchema = v.object({ unit: v.string(), pid: v.number() });

const pendingSchema = v.object({
  /** Names of the releases' directories. */
  from: v.string(),
  to: v.string(),
  /** The one before `from`; absent if there was none. */
  previous: v.optional(v.string()),
  state_dir: v.string(),
  socket: v.string(),
  started_at_ms: v.number(),
  before: v.object({
    units: v.object({
      runner: v.optional(activeSchema),
      agents: list(activeSchema),
      sockets: list(v.string()),
    }),
    pid: v.optional(v.number()),
    isReady: v.boolean(),
    jobs: list(v.object({ id: v.string(), project: v.string() })),
  }),
  /** The database's tables; absent if there was none. */
  schema: v.optional(v.object({
    statements: list(v.object({ table: v.nullable(v.string()), sql: v.string() })),
    counted: v.number(),
    versions: v.optional(v.record(v.string(), v.number())),
  })),
});

function list<Item extends v.GenericSchema>(item: Item) {
  return v.pipe(v.array(item), v.readonly());
}

/** An upgrade under way. */
export type Pending = v.InferOutput<typeof pendingSchema>;

function pathOf({ home }: Installation): string {
  return `${home}/upgrade.json`;
}

/** Reads the record; `undefined` if no upgrade is under way. */
export async function readPending(installation: Installation): Promise<Pending | undefined> {
  const text = await readIfThere(pathOf(installation));
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), pendingSchema), text);
  return parsed.success ? parsed.output : undefined;
}

/** Writes the record; it is on disk then. */
export async function writePending(installation: Installation, pending: Pending): Promise<void> {
  await writeAtomic(pathOf(installation), `${JSON.stringify(pending)}\n`);
  {
    using file = await Deno.open(pathOf(installation));
    await file.sync();
  }
  await syncDirectory(installation.home);
}

/** Removes the record. */
export async function removePending(installation: Installation): Promise<void> {
  await removeIfThere(pathOf(installation));
  await syncDirectory(installation.home);
}
