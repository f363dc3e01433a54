/**
 * Takes a migration of a database back, without losing rows.
 *
 * A release that fails right after its start may have migrated the database already, and the release
 * before refuses a newer one. Rows of the meantime must stay, so no copy is put back: the tables are
 * made anew as they were, and take the rows over, column by column.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { storedVersions } from "@lib/foundations/store/schema_versions.ts";

/** The tables of a database at some moment. */
export interface SchemaSnapshot {
  /** The statements that make it: tables first. */
  readonly statements: readonly { readonly table: string | null; readonly sql: string }[];
  /** `PRAGMA user_version`. */
  readonly counted: number;
  /** The rows of `schema_versions`; `undefined` if there was no such table. */
  readonly versions?: Readonly<Record<string, number>> | undefined;
}

/**
 * Reads the version of each owner's tables; `undefined` if there is no database.
 *
 * @throws {CicdError} `store_corrupt` if it cannot be read.
 */
export function readVersions(path: string): ReadonlyMap<string, number> | undefined {
  return reading(path, (db) => storedVersions((sql) => db.prepare(sql).all()));
}

/**
 * Reads how the tables of a database are made; `undefined` if there is no database.
 *
 * @throws {CicdError} `store_corrupt` if it cannot be read.
 */
export function readSchema(path: string): SchemaSnapshot | undefined {
  return reading(path, snapshotOf);
}

/**
 * Gives a database the tables of `snapshot` again, with the rows that it has now; columns and tables
 * that were added since are dropped. No program may have the database open.
 *
 * @returns `false` if nothing had changed.
 * @throws {CicdError} `store_newer` if the rows do not fit the tables of the snapshot; the database is
 * as it was then.
 */
export function restoreSchema(path: string, snapshot: SchemaSnapshot): boolean {
  const draft = `${path}.restored`;
  removeDraft(draft);
  {
    using old = openExisting(path, false);
    if (isSame(snapshotOf(old), snapshot)) return false;
    // Nothing may be left in the log, which belongs to the file that is replaced.
    old.exec("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE");
  }
  try {
    makeDraft(draft, path, snapshot);
    Deno.chmodSync(draft, (Deno.statSync(path).mode ?? 0o600) & 0o777);
    using file = Deno.openSync(draft);
    file.syncSync();
    Deno.renameSync(draft, path);
  } catch (cause) {
    removeDraft(draft);
    throw new CicdError(
      "store_newer",
      `Cannot take the migration of "${path}" back: ${messageOf(cause)}; it is as it was`,
      { cause },
    );
  }
  const counts = snapshot.statements.some(({ table }) => table === "commits");
  // The mark counts changes that a database without a count cannot show.
  if (!counts) removeDraft(`${path}.mark`);
  return true;
}

function makeDraft(draft: string, path: string, snapshot: SchemaSnapshot): void {
  using db = new DatabaseSync(draft, { enableForeignKeyConstraints: false });
  db.exec("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL");
  db.prepare("ATTACH ? AS newer").run(path);
  db.exec("BEGIN");
  const tables = snapshot.statements.flatMap(({ table, sql }) =>
    table === null ? [] : [{ table, sql }]
  );
  for (const { table, sql } of tables) {
    db.exec(sql);
    const columns = db.prepare(`PRAGMA main.table_info(${quoted(table)})`).all()
      .map(({ name }) => quoted(String(name)));
    // Without the qualifier, a quoted name that is no column would be a text.
    const values = columns.map((column) => `source.${column}`).join(", ");
    const order = /\bWITHOUT\s+ROWID\b/i.test(sql) ? "" : " ORDER BY source.rowid";
    const target = `main.${quoted(table)} (${columns.join(", ")})`;
    db.exec(`INSERT INTO ${target} SELECT ${values} FROM newer.${quoted(table)} AS source${order}`);
  }
  // Indexes and triggers come after the rows, which must not set them off.
  for (const { table, sql } of snapshot.statements) if (table === null) db.exec(sql);
  db.exec(`PRAGMA user_version=${snapshot.counted}`);
  if (snapshot.versions !== undefined) {
    db.exec("DELETE FROM schema_versions");
    const insert = db.prepare("INSERT INTO schema_versions VALUES (?, ?)");
    for (const [name, version] of Object.entries(snapshot.versions)) insert.run(name, version);
  }
  db.exec("COMMIT");
  db.exec("DETACH newer");
}

function snapshotOf(db: DatabaseSync): SchemaSnapshot {
  const rows = db.prepare(
    "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' " +
      "ORDER BY type <> 'table', rowid",
  ).all();
  const statements = rows.map(({ type, name, sql }) => ({
    table: type === "table" ? String(name) : null,
    sql: String(sql),
  }));
  const hasVersions = statements.some(({ table }) => table === "schema_versions");
  const versions = hasVersions
    ? db.prepare("SELECT name, version FROM schema_versions ORDER BY name").all()
    : undefined;
  return {
    statements,
    counted: Number(db.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0),
    versions: versions &&
      Object.fromEntries(versions.map(({ name, version }) => [String(name), Number(version)])),
  };
}

function isSame(a: SchemaSnapshot, b: SchemaSnapshot): boolean {
  return JSON.stringify([a.statements, a.counted, a.versions]) ===
    JSON.stringify([b.statements, b.counted, b.versions]);
}

function reading<T>(path: string, read: (db: DatabaseSync) => T): T | undefined {
  try {
    if (Deno.statSync(path).size === 0) return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    using db = openExisting(path, true);
    return read(db);
  } catch (cause) {
    throw new CicdError("store_corrupt", `Cannot read database "${path}": ${messageOf(cause)}`, {
      cause,
    });
  }
}

function openExisting(path: string, readOnly: boolean): DatabaseSync {
  return new DatabaseSync(path, { readOnly, enableForeignKeyConstraints: false, timeout: 5_000 });
}

function removeDraft(path: string): void {
  for (const file of [path, `${path}-journal`]) {
    try {
      Deno.removeSync(file);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
