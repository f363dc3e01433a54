/**
 * The only user of SQLite, but for what takes a migration back.
 *
 * WAL with `synchronous=FULL`: a committed transaction survives a power cut.
 *
 * @module
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { openMark, requireCommits } from "@lib/foundations/store/commit_mark.ts";
import { damaged, examineDatabase, unusable } from "@lib/foundations/store/database_file.ts";
import type { Reserve } from "@lib/foundations/store/reserve.ts";
import { COUNTED, storedVersions } from "@lib/foundations/store/schema_versions.ts";

/** A value that SQLite stores. */
export type SqlValue = null | number | bigint | string | Uint8Array;
/** A row: values by column name. */
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** One step of a schema: statements, each ending in a semicolon and a line break. */
export type Migration = string;

/** The tables of one owner. */
export interface Schema {
  /** The owner's name; stable. */
  readonly name: string;
  /** In order; never edit an applied one, only add another. */
  readonly migrations: readonly Migration[];
}

/** An open database. Synchronous: a call returns once its change is on disk. */
export interface Database extends Disposable {
  /** Runs a statement that returns no rows; returns the number of rows changed. */
  run(sql: string, ...values: readonly SqlValue[]): number;
  /** Returns all rows of a query. */
  all(sql: string, ...values: readonly SqlValue[]): readonly SqlRow[];
  /** Returns the first row of a query, if any. */
  first(sql: string, ...values: readonly SqlValue[]): SqlRow | undefined;
  /**
   * Runs `body` in one transaction; a throw rolls back. Not re-entrant.
   *
   * @param durability `relaxed`: the change reaches the disk with the next full transaction; a power
   * cut before that loses it, a crash does not. `urgent`: on a full disk, `body` runs once more in the
   * space of the reserve.
   * @throws {CicdError} `disk_full` or `io_failed` if the disk fails; nothing was changed.
   */
  transaction<T>(body: () => T, durability?: "full" | "relaxed" | "urgent"): T;
}

/**
 * Opens the database, creating or migrating it as needed.
 *
 * @param options `reserve`: space for opening, and for urgent changes, on a full disk.
 * @throws {CicdError} `store_corrupt` if the file is damaged, lost changes or is not a database, `store_newer` if a
 * newer version of the suite wrote it, `store_unusable` if it cannot be opened or written,
 * `disk_full` or `io_failed` if the disk fails.
 */
export function openDatabase(
  options: {
    readonly path: string;
    readonly schemas: readonly Schema[];
    readonly reserve?: Pick<Reserve, "urgently">;
  },
): Database {
  const open = () => openOnce(options);
  return options.reserve === undefined ? open() : options.reserve.urgently(open);
}

function openOnce(
  { path, schemas, reserve }: Parameters<typeof openDatabase>[0],
): Database {
  const statements = new Map<string, StatementSync>();
  using acquired = new DisposableStack();
  const db = acquired.adopt(open(path), (opened) => opened.close());
  const mark = path === ":memory:" ? undefined : acquired.use(openMark(path));
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
  const changes = () => prepare("SELECT total_changes() AS n").get()?.["n"];
  const count = () =>
    Number(prepare("UPDATE commits SET count = count + 1 RETURNING count").get()?.["count"]);
  const database: Database = {
    run(sql, ...values) {
      if (!db.isTransaction) return database.transaction(() => database.run(sql, ...values));
      return guarded(() => Number(prepare(sql).run(...values).changes));
    },
    all: (sql, ...values) => guarded(() => prepare(sql).all(...values)),
    first: (sql, ...values) => guarded(() => prepare(sql).get(...values)),
    transaction(body, durability = "full") {
      if (durability === "urgent" && reserve !== undefined) {
        return reserve.urgently(() => database.transaction(body));
      }
      return guarded(() => {
        using _relaxed = durability === "relaxed" ? relax(prepare) : undefined;
        prepare("BEGIN IMMEDIATE").run();
        try {
          const before = changes();
          const result = body();
          const commits = durability !== "relaxed" && changes() !== before ? count() : undefined;
          prepare("COMMIT").run();
          if (commits !== undefined) mark?.write(commits);
          return result;
        } catch (error) {
          if (db.isTransaction) prepare("ROLLBACK").run();
          throw error;
        }
      });
    },
    [Symbol.dispose]() {
      statements.clear();
      owned.dispose();
    },
  };
  const stored = storedCommits(database);
  if (mark !== undefined) requireCommits(path, stored);
  migrate(database, schemas, path);
  mark?.write(storedCommits(database));
  const owned = acquired.move();
  return database;
}

/** Returns the number of commits that the database has counted. */
function storedCommits(db: Database): number {
  const isCounted = db.first("SELECT 1 FROM sqlite_schema WHERE name = 'commits'") !== undefined;
  return isCounted ? Number(db.first("SELECT count FROM commits")?.["count"] ?? 0) : 0;
}

/** In WAL mode, a commit under NORMAL does not wait for the disk. */
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
  // What is removed, such as a sealed secret, is overwritten in the file.
  "secure_delete=ON",
];

function open(path: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    if (path !== ":memory:") examineDatabase(path);
    db = new DatabaseSync(path);
    // Prepared, as an error of `exec` does not carry SQLite's result code.
    for (const pragma of PRAGMAS) db.prepare(`PRAGMA ${pragma}`).all();
    return db;
  } catch (error) {
    if (db?.isOpen) db.close();
    throw translate(error, path);
  }
}

function migrate(db: Database, schemas: readonly Schema[], path: string): void {
  const counted = Number(db.first("PRAGMA user_version")?.["user_version"] ?? 0);
  const versions = storedVersions((sql) => db.all(sql));
  const newer = schemas.find(({ name, migrations }) =>
    (versions.get(name) ?? 0) > migrations.length
  );
  if (counted > COUNTED.length || newer !== undefined) {
    const [schema, found, known] = newer === undefined
      ? ["schema", counted, COUNTED.length]
      : [`schema "${newer.name}"`, versions.get(newer.name), newer.migrations.length];
    throw new CicdError(
      "store_newer",
      `Cannot open database "${path}": its ${schema} is version ${found}, this program knows ` +
        `${known}; install the newer release again, or restore a backup`,
    );
  }
  db.transaction(() => {
    db.run("CREATE TABLE IF NOT EXISTS commits (id INTEGER PRIMARY KEY, count INTEGER NOT NULL)");
    db.run("INSERT OR IGNORE INTO commits VALUES (1, 0)");
  });
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
    // A program without that owner leaves the count and its tables alone.
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

/** SQLite's result codes with an error code of their own. */
const SQLITE_PERM = 3;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;
/** The shared memory beside the database cannot grow. */
const SQLITE_IOERR_SHMSIZE = 4_874;

function translate(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof CicdError) return error;
  if (!("code" in error) || error.code !== "ERR_SQLITE_ERROR") return error;
  // An error while opening the database has no result code.
  const result = "errcode" in error && typeof error.errcode === "number" ? error.errcode : 0;
  switch (result === SQLITE_IOERR_SHMSIZE ? SQLITE_FULL : result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return damaged(path, error);
    case 0:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return unusable(path, error);
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
  }
  return new CicdError("io_failed", `Cannot use database "${path}": ${messageOf(error)}`, {
    cause: error,
  });
}
