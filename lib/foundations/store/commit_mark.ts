/**
 * A note beside a database of how many changes it has stored.
 *
 * A database that lost its file or its log opens like a new or an older one. The note, written after
 * each commit and never ahead of the disk, tells them apart.
 *
 * @module
 */
import { constants, readSync, writeSync } from "node:fs";
import { counted } from "@lib/core/count.ts";
import { CicdError } from "@lib/core/errors.ts";
import { openOwnFile } from "@lib/foundations/store/own_file.ts";

const DIGITS = 16;

function markOf(database: string): string {
  return `${database}.mark`;
}

/** Returns the number of changes that a database is known to have stored; 0 if that is not known. */
function readMark(database: string): number {
  const text = attempt(() => {
    using file = openOwnFile(markOf(database), constants.O_RDONLY);
    const bytes = new Uint8Array(DIGITS + 1);
    return new TextDecoder().decode(bytes.subarray(0, readSync(file.fd, bytes)));
  }) ?? "";
  // A power cut may leave an empty file.
  return Number(/^\d{16}\n/.exec(text)?.[0] ?? 0);
}

/**
 * Checks that a database has all its changes.
 *
 * @param stored Those that it has; `undefined` if its file is missing or empty.
 * @throws {CicdError} `store_corrupt` if it lacks some.
 */
export function requireCommits(database: string, stored: number | undefined): void {
  const known = readMark(database);
  if ((stored ?? 0) >= known) return;
  const found = stored === undefined
    ? `the file is missing or empty, but had ${known} changes`
    : `it lacks its last ${counted(known - stored, "change")}: its log "${database}-wal" was ` +
      "removed, or an older copy was put in its place";
  throw new CicdError(
    "store_corrupt",
    `Cannot use database "${database}": ${found}; put the files back or restore a backup, and ` +
      `remove "${markOf(database)}" to go on with what is there`,
  );
}

/** Opens the note for writing; a note that cannot be written only stays behind. */
export function openMark(database: string): Disposable & { write(commits: number): void } {
  const file = attempt(() => openOwnFile(markOf(database), constants.O_WRONLY | constants.O_CREAT));
  const encoder = new TextEncoder();
  return {
    write(commits) {
      if (file === undefined) return;
      const bytes = encoder.encode(`${String(commits).padStart(DIGITS, "0")}\n`);
      attempt(() => writeSync(file.fd, bytes, 0, bytes.length, 0));
    },
    [Symbol.dispose]: () => file?.[Symbol.dispose](),
  };
}

/** Returns `undefined` if it fails: the database works without the note. */
function attempt<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}
