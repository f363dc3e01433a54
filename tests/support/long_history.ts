/**
 * A database with a long queue and a long history, which records the statements it is given.
 *
 * @module
 */
import {
  type Database,
  openDatabase,
  type SqlRow,
  type SqlValue,
} from "@lib/foundations/store/database.ts";
import { allSchemas, makeSpec, projectName } from "./job_fixtures.ts";

/** A database that remembers each statement. */
export interface RecordingDatabase extends Database {
  readonly statements: ReadonlySet<string>;
}

/** Passes everything on to a database and records the texts of statements. */
export function recordStatements(db: Database): RecordingDatabase {
  const statements = new Set<string>();
  const noted = (sql: string) => {
    statements.add(sql);
    return sql;
  };
  return {
    statements,
    run: (sql: string, ...values: readonly SqlValue[]) => db.run(noted(sql), ...values),
    all: (sql: string, ...values: readonly SqlValue[]) => db.all(noted(sql), ...values),
    first: (sql: string, ...values: readonly SqlValue[]) => db.first(noted(sql), ...values),
    transaction: (body, durability) => db.transaction(body, durability),
    [Symbol.dispose]: () => db[Symbol.dispose](),
  };
}

/** Returns the lines of a statement's plan. */
export function planOf(db: Database, sql: string): readonly string[] {
  return db.all(`EXPLAIN QUERY PLAN ${sql}`).map((row: SqlRow) => String(row["detail"]));
}

/** Options for {@linkcode openLongHistory}. */
export interface LongHistory {
  readonly path?: string;
  /** The group of all queued jobs. */
  readonly group?: string;
  /** Has the queued jobs wait for their second attempts. */
  readonly isDelayed?: boolean;
}

/** When the second attempts are due. */
const LATER = 2_000_000;

/** Opens a database with as many queued jobs, and as many ended ones, in ten projects. */
export function openLongHistory(
  jobs: number,
  { path = ":memory:", group, isDelayed = false }: LongHistory = {},
): Database {
  const db = openDatabase({ path, schemas: allSchemas() });
  const spec = JSON.stringify(makeSpec({
    project: projectName("p0"),
    labels: { team: "core" },
    retries: { max: 1, on: ["failed"], delayMs: LATER },
  }));
  db.transaction(() => {
    for (const [state, first] of [["succeeded", 0], ["queued", jobs]] as const) {
      db.run(
        `WITH RECURSIVE numbers (n) AS (
           SELECT CAST(?1 AS INTEGER) UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1 + ?2)
         INSERT INTO jobs (id, project, state, attempt, retry_base, spec, rank, not_before,
           concurrency_group, usage, created_at, finished_at, revision)
         SELECT printf('%08x-0000-7000-8000-000000000000', n), 'p' || (n % 10), ?3, ?6, 0, ?4, n, ?7,
           iif(?3 = 'queued', ?5, NULL), '{}', n, iif(?3 = 'queued', NULL, n), n + 1
         FROM numbers`,
        first,
        jobs,
        state,
        spec,
        group ?? null,
        state === "queued" && isDelayed ? 1 : 0,
        state === "queued" && isDelayed ? LATER : 0,
      );
    }
    db.run(
      `INSERT INTO attempts SELECT id, 1, state, 'boot', 0, '{"logBytes":3}' FROM jobs
       WHERE state = 'succeeded'`,
    );
  });
  return db;
}
