/**
 * The files of a database, examined without SQLite: opening one may already change it.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { requireCommits } from "@lib/foundations/store/commit_mark.ts";

/** The first bytes of every database. */
const MAGIC = "SQLite format 3\0";
/** Write permission of the owner. */
const OWNER_WRITES = 0o200;

/**
 * Checks that a database can be opened, and changes nothing; one that never existed is fine.
 *
 * SQLite would copy an intact log into a file whose beginning was overwritten, and remove the log of
 * a missing one.
 *
 * @throws {CicdError} `store_corrupt` if the file is no database, or lost, `store_unusable` if this account
 * cannot read and write it.
 */
export function examineDatabase(path: string): void {
  const start = readStart(path, path);
  readStart(`${path}-wal`, path);
  if (!start) requireCommits(path, undefined);
  else if (start !== MAGIC) throw damaged(path, new Error("file is not a database"));
}

/** Returns the first bytes of a file; `undefined` if there is none. */
function readStart(file: string, database: string): string | undefined {
  try {
    const { isFile, mode } = Deno.statSync(file);
    if (!isFile) throw new Error(`${file} is not a file`);
    if (mode !== null && (mode & OWNER_WRITES) === 0) throw new Error(`${file} is read-only`);
    using opened = Deno.openSync(file, { read: true, write: true });
    const bytes = new Uint8Array(MAGIC.length);
    const length = opened.readSync(bytes) ?? 0;
    return new TextDecoder("latin1").decode(bytes.subarray(0, length));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw unusable(database, error);
  }
}

/** Makes the error of a damaged database. */
export function damaged(path: string, error: Error): CicdError {
  return new CicdError(
    "store_corrupt",
    `Cannot use database "${path}": it is damaged (${messageOf(error)}); move it and its ` +
      `-wal, -shm and .mark files away, restore a backup if there is one, then start again`,
    { cause: error },
  );
}

/** Makes the error of a database that this account cannot open. */
export function unusable(path: string, error: unknown): CicdError {
  return new CicdError(
    "store_unusable",
    `Cannot open database "${path}": ${messageOf(error)}; make its directory, and the files ` +
      `${path}* in it, readable and writable for this account, then start again`,
    { cause: error },
  );
}
