/**
 * Small files of the suite: read if they exist, written atomically.
 *
 * @module
 */
import { existsSync as isReachable } from "node:fs";
import { CicdError } from "@lib/core/errors.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";

/**
 * Reads a text file; `undefined` if it does not exist.
 *
 * Anything but a regular file counts as missing: a job may have put a FIFO or a link in its place.
 * What is appended meanwhile is not read.
 *
 * @throws {CicdError} `io_failed` if it is larger than any record, or than `maxBytes`.
 */
export async function readIfThere(
  path: string,
  maxBytes = RECORD_MAX_BYTES,
): Promise<string | undefined> {
  using record = openRecord(path, maxBytes);
  if (record === undefined) return undefined;
  const { file, size } = record;
  if (size <= SMALL_BYTES) return new TextDecoder().decode(readAllSync(record));
  const bytes = new Uint8Array(size);
  let length = 0;
  for (let count = 1; count > 0; length += count) {
    count = await file.read(bytes.subarray(length)) ?? 0;
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** As {@linkcode readIfThere}, but synchronous. */
export function readIfThereSync(path: string): string | undefined {
  const bytes = bytesIfThereSync(path);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

/** As {@linkcode readIfThere}, but synchronous and of any bytes. */
export function bytesIfThereSync(path: string): Uint8Array | undefined {
  using record = openRecord(path, RECORD_MAX_BYTES);
  return record && readAllSync(record);
}

/** Returns the status of a path, without following a link; `undefined` if it does not exist. */
export function statIfThere(path: string): Promise<Deno.FileInfo | undefined> {
  return ifThere(() => Deno.lstat(path));
}

/** Returns true if something is at a path, even a dangling link. */
export async function exists(path: string): Promise<boolean> {
  return await statIfThere(path) !== undefined;
}

/** As {@linkcode exists}, but synchronous. */
export function existsSync(path: string): boolean {
  return statIfThereSync(path) !== undefined;
}

/**
 * Returns true if a path leads to something, unlike a dangling link: where a job can make links and
 * one would matter, use {@linkcode existsSync}.
 *
 * As an error of the runtime takes six times as long as a look, none is made for what is not there:
 * for what mostly is not. That a directory is closed to the account is still one.
 */
export function leadsToSomething(path: string): boolean {
  if (isReachable(path)) return true;
  return isReachable(`${path.slice(0, path.lastIndexOf("/") + 1)}.`) ? false : existsSync(path);
}

/** As {@linkcode statIfThere}, but synchronous. */
export function statIfThereSync(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Removes a file, if it exists. */
export async function removeIfThere(path: string): Promise<void> {
  await ifThere(() => Deno.remove(path));
}

/** Lists the names of the directories in a directory, without links; none if it does not exist. */
export function directoriesIn(path: string): readonly string[] {
  return namesIn(path, ({ isDirectory }) => isDirectory);
}

/** Lists the names of the regular files in a directory; none if it does not exist. */
export function filesIn(path: string): readonly string[] {
  return namesIn(path, ({ isFile }) => isFile);
}

/** Writes a file of mode 0600 atomically: readers see either the old text or the new one. */
export async function writeAtomic(path: string, text: string): Promise<void> {
  const draft = draftOf(path);
  try {
    await Deno.writeTextFile(draft, text, NEW_FILE);
    await Deno.rename(draft, path);
  } catch (error) {
    removeDraft(draft);
    throw error;
  }
}

/** As {@linkcode writeAtomic}, but synchronous. */
export function writeAtomicSync(path: string, content: string | Uint8Array): void {
  const draft = draftOf(path);
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  try {
    Deno.writeFileSync(draft, bytes, NEW_FILE);
    Deno.renameSync(draft, path);
  } catch (error) {
    removeDraft(draft);
    throw error;
  }
}

/**
 * Writes the draft of a record in advance, so that {@linkcode writeOverDraft} succeeds on a full disk.
 */
export function prepareDraft(path: string): void {
  Deno.writeFileSync(`${path}.draft`, DRAFT, { mode: 0o600 });
}

/** As {@linkcode writeAtomicSync}, over the prepared draft if there is one. */
export function writeOverDraft(path: string, text: string): void {
  const draft = `${path}.draft`;
  {
    using file = openRegular(draft, { write: true });
    if (file === undefined) return writeAtomicSync(path, text);
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.truncateSync(bytes.length);
  }
  Deno.renameSync(draft, path);
}

/** One block of usual file systems; what remains of it after a record is a line without a key. */
const DRAFT = new TextEncoder().encode(`${"#".repeat(4_095)}\n`);
const NEW_FILE = { mode: 0o600, createNew: true } as const;
const RECORD_MAX_BYTES = 64 * 1024 * 1024;
/** Reading so much takes less than handing it to another thread. */
const SMALL_BYTES = 64 * 1024;

/** A job cannot guess the name, and so cannot put a FIFO there. */
function draftOf(path: string): string {
  return `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
}

function removeDraft(draft: string): void {
  try {
    Deno.removeSync(draft);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** An open record and its size when it was opened. */
interface OpenRecord extends Disposable {
  readonly file: Deno.FsFile;
  readonly size: number;
}

function openRecord(path: string, maxBytes: number): OpenRecord | undefined {
  const file = openRegular(path, { read: true });
  if (file === undefined) return undefined;
  const { size } = file.statSync();
  if (size <= maxBytes) return { file, size, [Symbol.dispose]: () => file.close() };
  file.close();
  throw new CicdError("io_failed", `Cannot read "${path}": it is larger than any record`);
}

function readAllSync({ file, size }: OpenRecord): Uint8Array {
  const bytes = new Uint8Array(size);
  let length = 0;
  for (let count = size; count > 0 && length < size; length += count) {
    count = file.readSync(bytes.subarray(length)) ?? 0;
  }
  return bytes.subarray(0, length);
}

function namesIn(path: string, take: (entry: Deno.DirEntry) => boolean): readonly string[] {
  try {
    return [...Deno.readDirSync(path)].filter(take).map(({ name }) => name);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function ifThere<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** A path that leads through a file, or through a link to itself, does not exist either. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.FilesystemLoop;
}
