/**
 * The one owner of SQLite.
 *
 * WAL with `synchronous=FULL`: a committed transaction survives a power cut.
 *
 * @module
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CicdError, messageOf } from "@lib/core/errors.ts";

/** A value that SQLite stores. */
export type SqlValue = null | number | bigint | string | Uint8Array;
/** A row as read: column name to value. */
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** One step of a schema: its statements, each ended by a semicolon and a line break. */
export type Migration = string;

/** The tables of one owner. */
export interface Schema {
  /** Of the owner; stable. */
  readonly name: string;
  /** In order; an applied one is never edited, only followed by another. */
  readonly migrations: readonly Migration[];
}

/** Options for {@linkcode openDatabase}. */
export interface DatabaseOptions {
  readonly path: string;
  readonly schemas: readonly Schema[];
}

/** An open database. Synchronous: a call returns when the disk has it. */
export interface Database extends Disposable {
  /** Runs a statement that returns no rows; returns the number of rows changed. */
  run(sql: string, ...values: readonly SqlValue[]): number;
  /** All rows of a query. */
  all(sql: string, ...values: readonly SqlValue[]): readonly SqlRow[];
  /** The first row of a query, if any. */
  first(sql: string, ...values: readonly SqlValue[]): SqlRow | undefined;
  /**
   * Runs `body` in one transaction; a throw rolls back. Not re-entrant.
   *
   * @param durability `relaxed`: the disk has the change with the next transaction that is not; a
   * power cut before that loses it, a crash does not.
   * @throws {CicdError} `disk_full` or `io_failed` if the disk refuses; nothing was changed.
   */
  transaction<T>(body: () => T, durability?: "full" | "relaxed"): T;
}

/**
 * Opens the database, making or migrating it as needed.
 *
 * @throws {CicdError} `store_corrupt` if the file is no sound database, `store_newer` if a
 * later version of the suite wrote it, `io_failed` if it cannot be opened.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { path, schemas } = options;
  const statements = new Map<string, StatementSync>();
  const db = open(path);
  const prepare = (sql: string): StatementSync => {
    let statement = statements.get(sql);
    if (statement === undefined) {
      statement = db.prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  };
  const guarded = <T>(body: () => T): T => {
    try {
      return body();
    } catch (error) {
      throw translate(error, path);
    }
  };
  const database: Database = {
    run: (sql, ...values) => guarded(() => Number(prepare(sql).run(...values).changes)),
    all: (sql, ...values) => guarded(() => prepare(sql).all(...values)),
    first: (sql, ...values) => guarded(() => prepare(sql).get(...values)),
    transaction(body, durability = "full") {
      return guarded(() => {
        using _relaxed = durability === "relaxed" ? relax(prepare) : undefined;
        prepare("BEGIN IMMEDIATE").run();
        try {
          const result = body();
          prepare("COMMIT").run();
          return result;
        } catch (error) {
          if (db.isTransaction) prepare("ROLLBACK").run();
          throw error;
        }
      });
    },
    [Symbol.dispose]() {
      statements.clear();
      if (db.isOpen) db.close();
    },
  };
  try {
    migrate(database, schemas, path);
  } catch (error) {
    database[Symbol.dispose]();
    throw error;
  }
  return database;
}

/** In WAL mode a commit under NORMAL waits for no disk. */
function relax(prepare: (sql: string) => StatementSync): Disposable {
  prepare("PRAGMA synchronous=NORMAL").run();
  return { [Symbol.dispose]: () => void prepare("PRAGMA synchronous=FULL").run() };
}

const PRAGMAS = [
  "busy_timeout=5000",
  "foreign_keys=ON",
  "journal_mode=WAL",
  "synchronous=FULL",
  "journal_size_limit=4194304",
];

function open(path: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path);
    // Each prepared: an error of `exec` does not carry SQLite's result code.
    for (const pragma of PRAGMAS) db.prepare(`PRAGMA ${pragma}`).all();
    return db;
  } catch (error) {
    if (db?.isOpen) db.close();
    throw translate(error, path);
  }
}

/**
 * The schemas behind `user_version`, in the order in which the first releases counted them.
 *
 * It never grows: later versions are rows of `schema_versions`, one for each owner, so that a
 * release without a feature still opens the database.
 */
const COUNTED = ["jobs", "jobs", "gryt", "access"] as const;

function migrate(db: Database, schemas: readonly Schema[], path: string): void {
  const counted = Number(db.first("PRAGMA user_version")?.["user_version"] ?? 0);
  const versions = new Map<string, number>();
  for (const name of COUNTED.slice(0, counted)) versions.set(name, (versions.get(name) ?? 0) + 1);
  if (db.first("SELECT 1 FROM sqlite_schema WHERE name = 'schema_versions'") !== undefined) {
    for (const { name, version } of db.all("SELECT name, version FROM schema_versions")) {
      versions.set(String(name), Number(version));
    }
  }
  const newer = schemas.find(({ name, migrations }) =>
    (versions.get(name) ?? 0) > migrations.length
  );
  if (counted > COUNTED.length || newer !== undefined) {
    const found = newer === undefined ? counted : versions.get(newer.name);
    throw new CicdError(
      "store_newer",
      `Cannot open database "${path}": its schema${
        newer === undefined ? "" : ` "${newer.name}"`
      } ` +
        `is version ${found}, this program knows ${newer?.migrations.length ?? COUNTED.length}; ` +
        "install the newer release again, or restore a backup",
    );
  }
  const apply = (sql: string, note: () => void) =>
    db.transaction(() => {
      for (const statement of sql.split(/;\s*\n/)) {
        if (statement.trim() !== "") db.run(statement);
      }
      note();
    });
  for (const [index, name] of COUNTED.entries()) {
    if (index < counted) continue;
    const done = versions.get(name) ?? 0;
    const sql = schemas.find((schema) => schema.name === name)?.migrations[done];
    // A program without that owner leaves the count, and the tables to one that has it.
    if (sql === undefined) break;
    apply(sql, () => db.run(`PRAGMA user_version=${index + 1}`));
    versions.set(name, done + 1);
  }
  for (const { name, migrations } of schemas) {
    for (const [index, sql] of migrations.entries()) {
      if (index < (versions.get(name) ?? 0)) continue;
      apply(sql, () => {
        db.run(
          "CREATE TABLE IF NOT EXISTS schema_versions (name TEXT PRIMARY KEY, version INTEGER)",
        );
        db.run("INSERT OR REPLACE INTO schema_versions VALUES (?, ?)", name, index + 1);
      });
    }
  }
}

/** SQLite's result codes that have an answer of their own. */
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

function translate(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof CicdError) return error;
  if (!("code" in error) || error.code !== "ERR_SQLITE_ERROR") return error;
  // A database that cannot even be opened has no result code.
  const result = "errcode" in error && typeof error.errcode === "number" ? error.errcode : 0;
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new CicdError(
        "store_corrupt",
        `Cannot use database "${path}": it is damaged (${messageOf(error)}); move it and its ` +
          `-wal and -shm files away, or restore a backup, then start again`,
        { cause: error },
      );
    case SQLITE_FULL:
      return new CicdError(
        "disk_full",
        `Cannot write database "${path}": the disk is full; free some space, nothing was changed`,
        { cause: error, retryAfterMs: 30_000 },
      );
    case SQLITE_IOERR:
      return new CicdError(
        "io_failed",
        `Cannot use database "${path}": ${messageOf(error)}; nothing was changed`,
        { cause: error, retryAfterMs: 5_000 },
      );
    default:
      return new CicdError("io_failed", `Cannot use database "${path}": ${messageOf(error)}`, {
        cause: error,
      });
  }
}
