/**
 * Notes of what could not be removed, for people and for the next try.
 *
 * They are files, so that they outlive the programs and `doctor` can read them without a runner. A job
 * can forge them: they are shown, and cause a look, but what is removed is only what cleaning finds.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { messageOf } from "@lib/core/errors.ts";
import { exists, filesIn, readIfThere, writeAtomicSync } from "@lib/foundations/files/records.ts";

/** Something that could not be removed. */
export interface Remains {
  /** Below the state directory. */
  readonly path: string;
  /** Why, when it was tried last. */
  readonly reason: string;
  /** The first failure, in milliseconds since the epoch. */
  readonly since: number;
}

/** The remains that are known. */
export interface RemainsList {
  /** The oldest first, at most 1,000. */
  readonly items: readonly Remains[];
  /** Of all notes. */
  readonly count: number;
}

const noteSchema = v.object({
  path: v.pipe(v.string(), v.maxLength(4_096), v.regex(/^(?!\.\.?\/)[^/](?!.*\/\.\.?(\/|$))/)),
  reason: v.pipe(v.string(), v.maxLength(2_000)),
  since: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

const MAX_NOTES = 1_000;
const NOTE_MAX_BYTES = 32 * 1024;

/** Notes that a path below the state directory could not be removed. */
export async function noteRemains(
  stateDir: string,
  path: string,
  { error, now }: { readonly error: unknown; readonly now: number },
): Promise<void> {
  const file = noteOf(stateDir, path);
  const earlier = await readNote(file);
  const own = relativeTo(stateDir, path);
  // Its path is said beside it.
  const reason = messageOf(error).replaceAll(`${stateDir}/`, "")
    .replaceAll(`Cannot remove "${own}": `, "").slice(0, 2_000);
  const note: Remains = { path: own, reason, since: earlier?.since ?? now };
  Deno.mkdirSync(directoryOf(stateDir), { recursive: true, mode: 0o700 });
  writeAtomicSync(file, JSON.stringify(note));
}

/** Forgets a path that was removed after all. */
export function forgetRemains(stateDir: string, path: string): void {
  forget(noteOf(stateDir, path));
}

/** Lists what could not be removed and is still there; forgets the rest. */
export async function readRemains(stateDir: string): Promise<RemainsList> {
  const items: Remains[] = [];
  const names = namesIn(stateDir);
  let count = names.length;
  for (const name of names.slice(0, MAX_NOTES)) {
    const file = `${directoryOf(stateDir)}/${name}`;
    const note = await readNote(file);
    if (note !== undefined && await isThere(`${stateDir}/${note.path}`)) items.push(note);
    else {
      forget(file);
      count--;
    }
  }
  return { items: items.toSorted((a, b) => a.since - b.since), count };
}

function directoryOf(stateDir: string): string {
  return `${stateDir}/remains`;
}

function noteOf(stateDir: string, path: string): string {
  const name = createHash("sha256").update(relativeTo(stateDir, path)).digest("hex");
  return `${directoryOf(stateDir)}/${name}`;
}

function relativeTo(stateDir: string, path: string): string {
  return path.startsWith(`${stateDir}/`) ? path.slice(stateDir.length + 1) : path;
}

function namesIn(stateDir: string): readonly string[] {
  try {
    return filesIn(directoryOf(stateDir)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  } catch (error) {
    // A job has closed it.
    if (error instanceof Deno.errors.PermissionDenied) return [];
    throw error;
  }
}

async function readNote(file: string): Promise<Remains | undefined> {
  try {
    const text = await readIfThere(file, NOTE_MAX_BYTES);
    return text === undefined ? undefined : v.parse(noteSchema, JSON.parse(text));
  } catch {
    // A job or a power cut damaged it; the next failure writes it again.
    return undefined;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    return await exists(path);
  } catch {
    // In a directory that is closed.
    return true;
  }
}

function forget(file: string): void {
  try {
    Deno.removeSync(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
