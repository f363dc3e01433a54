/**
 * Masks the logs of an ended attempt on disk, so that nothing needs its secrets any more.
 *
 * A log is copied with its secrets masked and the copy replaces it: a crash leaves the one or the
 * other, and a reader goes on with the file that it has open. Masking keeps every offset, so both
 * read the same.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import { removeIfThere } from "@lib/foundations/files/records.ts";
import type { SecretPatterns } from "@lib/foundations/secrets/redactor.ts";
import type { OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import { type CursorBounds, LOG_CHUNK_BYTES, openLogCursor } from "@lib/spine/logs/log_cursor.ts";
import { logExtent, type LogSource } from "@lib/spine/logs/log_source.ts";

/** Options for {@linkcode maskLog}. */
export interface MaskLogOptions {
  /** Returns what to mask; called for a log that is not empty. */
  readonly patterns: () => SecretPatterns | Promise<SecretPatterns>;
  readonly signal: AbortSignal;
}

/**
 * Masks the log of an attempt that has ended; one without secrets in it is only read.
 *
 * @throws The signal's reason if it aborts, or why the log cannot be copied; both versions read the
 * same with the secrets.
 */
export async function maskLog(source: LogSource, options: MaskLogOptions): Promise<void> {
  const { directory, output } = source;
  const streams = output === "merged" ? ["merged"] as const : ["stdout", "stderr"] as const;
  for (const stream of streams) {
    using raw = openRegular(directory.logFile(stream), { read: true });
    if (raw === undefined || (await raw.stat()).size === 0) continue;
    await maskFile(raw, { source, stream }, options);
  }
}

async function maskFile(
  raw: Deno.FsFile,
  { source, stream }: { readonly source: LogSource; readonly stream: OutputStream },
  { patterns, signal }: MaskLogOptions,
): Promise<void> {
  const path = source.directory.logFile(stream);
  const draft = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  const { size, mtime } = await raw.stat();
  const extent = await logExtent({ ...source, settled: true }, stream);
  const bounds: CursorBounds = {
    extent,
    end: extent.droppedBytes === undefined ? "complete" : "cut",
  };
  using cursor = openLogCursor(source, stream, { patterns: await patterns(), from: 0 });
  let copy: Deno.FsFile | undefined;
  try {
    for (let at = 0; at < size;) {
      signal.throwIfAborted();
      const chunk = await cursor.next(LOG_CHUNK_BYTES, bounds);
      if (chunk.length === 0) {
        // Nobody can read what is behind the cap: a hole in its place takes no space.
        copy ??= await beginCopy(raw, draft, at);
        await copy.truncate(size);
        break;
      }
      if (copy === undefined && !await holds(raw, chunk, at)) {
        copy = await beginCopy(raw, draft, at);
      }
      if (copy !== undefined) await writeAll(copy, chunk);
      at += chunk.length;
    }
    if (copy === undefined) return;
    if (mtime !== null) await copy.utime(mtime, mtime);
    // The secrets are removed next, and must not be missed after a power cut.
    await copy.sync();
    await Deno.rename(draft, path);
    using directory = await Deno.open(source.directory.path, { read: true });
    await directory.sync();
  } finally {
    copy?.close();
    if (copy !== undefined) await removeIfThere(draft);
  }
}

/** Returns true if a file has these bytes at an offset. */
async function holds(file: Deno.FsFile, bytes: Uint8Array, at: number): Promise<boolean> {
  const found = new Uint8Array(bytes.length);
  await file.seek(at, Deno.SeekMode.Start);
  for (let length = 0; length < found.length;) {
    const count = await file.read(found.subarray(length));
    if (count === null) return false;
    length += count;
  }
  return Buffer.compare(found, bytes) === 0;
}

/** Begins a copy with the first `length` bytes of a file. */
async function beginCopy(file: Deno.FsFile, path: string, length: number): Promise<Deno.FsFile> {
  const copy = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  try {
    await file.seek(0, Deno.SeekMode.Start);
    const buffer = new Uint8Array(LOG_CHUNK_BYTES);
    for (let at = 0; at < length;) {
      const count = await file.read(buffer.subarray(0, Math.min(buffer.length, length - at)));
      if (count === null) break;
      await writeAll(copy, buffer.subarray(0, count));
      at += count;
    }
    return copy;
  } catch (error) {
    copy.close();
    await removeIfThere(path);
    throw error;
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
