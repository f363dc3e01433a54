/**
 * The tables of usage: sums per day, and single records that are still to be delivered.
 *
 * Both are bounded: in a day's sums by the number of rows, over all days by age, and in the records
 * by number, of which the oldest are dropped.
 *
 * @module
 */
import type { UsageRecord, UsageSource } from "@lib/api/usage_source.ts";
import type { Database, SqlRow } from "@lib/foundations/store/database.ts";

/** The model of usage that has no room for a row of its own. */
const OTHER_MODELS = "(other)";
/** The most rows of one day; those of {@linkcode OTHER_MODELS}, one for each provider, are beside them. */
const MAX_ROWS_A_DAY = 1_000;
/** The most records that wait for delivery. */
const MAX_UNSENT = 10_000;

/** One answer to add. */
export type NewUsage = Omit<UsageRecord, "id" | "captureTier" | "costUsd"> & {
  /** `undefined`: no price is known. */
  readonly costUsd: number | undefined;
};

/** The sums of one day, provider, model and project. */
export interface UsageRow {
  /** As `2026-01-31`, UTC. */
  readonly day: string;
  readonly provider: string;
  readonly model: string;
  /** Empty: none was named. */
  readonly project: string;
  readonly requests: number;
  /** Those of which no price is known. */
  readonly unpriced: number;
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly costUsd: number;
}

/** The usage on disk. */
export class UsageStore implements UsageSource {
  readonly #db: Database;
  readonly #keepMs: () => number;
  #prunedOn: string | undefined;

  /** @param keepMs How long the sums of a day are kept. */
  constructor(db: Database, keepMs: () => number) {
    this.#db = db;
    this.#keepMs = keepMs;
  }

  /** Adds the usage of an answer. @throws {CicdError} `disk_full`, `io_failed` */
  add(usage: NewUsage): void {
    const { ts, provider, project = "", operation, costUsd } = usage;
    const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = usage;
    const tokens = [inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens];
    const day = dayOf(ts);
    // A power cut may lose the last moments; an answer does not wait for the disk.
    this.#db.transaction(() => {
      const model = this.#hasRoom(day, usage) ? usage.model : OTHER_MODELS;
      this.#db.run(
        `INSERT INTO llm_usage VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET requests = requests + 1, unpriced = unpriced + excluded.unpriced,
           input = input + excluded.input, output = output + excluded.output,
           cache_read = cache_read + excluded.cache_read,
           cache_write = cache_write + excluded.cache_write, cost = cost + excluded.cost`,
        day,
        provider,
        model,
        model === OTHER_MODELS ? "" : project,
        costUsd === undefined ? 1 : 0,
        ...tokens,
        costUsd ?? 0,
      );
      this.#db.run(
        `INSERT INTO llm_unsent (ts, provider, model, project, operation, input, output, cache_read,
           cache_write, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ts,
        provider,
        usage.model,
        project,
        operation,
        ...tokens,
        costUsd ?? 0,
      );
      this.#db.run(
        "DELETE FROM llm_unsent WHERE id <= (SELECT max(id) FROM llm_unsent) - ?",
        MAX_UNSENT,
      );
      if (this.#prunedOn !== day) {
        this.#db.run("DELETE FROM llm_usage WHERE day < ?", dayOf(ts - this.#keepMs()));
      }
    }, "relaxed");
    this.#prunedOn = day;
  }

  /** Returns the sums since a day, inclusive: the newest day first, at most `limit`. */
  rows(from: string, limit: number): readonly UsageRow[] {
    return this.#db.all(
      "SELECT * FROM llm_usage WHERE day >= ? ORDER BY day DESC, provider, model, project LIMIT ?",
      from,
      limit,
    ).map(parseRow);
  }

  unsent(limit: number): readonly UsageRecord[] {
    return this.#db.all("SELECT * FROM llm_unsent ORDER BY id LIMIT ?", limit).map(parseRecord);
  }

  markSent(ids: readonly number[]): void {
    if (ids.length === 0) return;
    this.#db.transaction(() => {
      for (const id of ids) this.#db.run("DELETE FROM llm_unsent WHERE id = ?", id);
    }, "relaxed");
  }

  #hasRoom(day: string, { provider, model, project = "" }: NewUsage): boolean {
    const known = this.#db.first(
      "SELECT 1 FROM llm_usage WHERE day = ? AND provider = ? AND model = ? AND project = ?",
      day,
      provider,
      model,
      project,
    );
    if (known !== undefined) return true;
    const row = this.#db.first("SELECT count(*) AS n FROM llm_usage WHERE day = ?", day);
    return Number(row?.["n"]) < MAX_ROWS_A_DAY;
  }
}

/** Returns the day of an instant, in UTC. */
export function dayOf(ms: number): string {
  return new Date(Math.max(0, ms)).toISOString().slice(0, 10);
}

function parseRow(row: SqlRow): UsageRow {
  return {
    day: String(row["day"]),
    provider: String(row["provider"]),
    model: String(row["model"]),
    project: String(row["project"]),
    requests: Number(row["requests"]),
    unpriced: Number(row["unpriced"]),
    input: Number(row["input"]),
    output: Number(row["output"]),
    cacheRead: Number(row["cache_read"]),
    cacheWrite: Number(row["cache_write"]),
    costUsd: Number(row["cost"]),
  };
}

function parseRecord(row: SqlRow): UsageRecord {
  const project = String(row["project"]);
  return {
    id: Number(row["id"]),
    ts: Number(row["ts"]),
    provider: String(row["provider"]),
    model: String(row["model"]),
    operation: String(row["operation"]),
    inputTokens: Number(row["input"]),
    outputTokens: Number(row["output"]),
    cacheReadTokens: Number(row["cache_read"]),
    cacheWriteTokens: Number(row["cache_write"]),
    costUsd: Number(row["cost"]),
    captureTier: "proxy",
    ...(project === "" ? {} : { project }),
  };
}
