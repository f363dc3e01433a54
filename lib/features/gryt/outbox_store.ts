/**
 * The results that are still to be delivered, on disk.
 *
 * A row is stored with its job and removed when it is delivered or given up, or
 * with the job's record.
 *
 * @module
 */
import type { Database, SqlRow } from "@lib/foundations/store/database.ts";
import { entryOf, type GrytEntry, numberOf } from "@lib/features/gryt/ledger.ts";

/** A delivery of a job that has ended. */
export interface Delivery extends GrytEntry {
  readonly url: string;
  /** To the `callback_url` of a request, or to the main API that a job was pulled from. */
  readonly kind: "callback" | "result";
  readonly tries: number;
  readonly firstAt?: number;
}

const FROM_ENDED = `FROM gryt_outbox CROSS JOIN jobs ON jobs.id = gryt_outbox.job_id
  CROSS JOIN gryt_jobs ON gryt_jobs.job_id = gryt_outbox.job_id WHERE jobs.finished_at IS NOT NULL`;

/** The table of deliveries. */
export class OutboxStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Adds a delivery, in the transaction that stores the job or later; a pending one stays as it is. */
  add({ jobId, url, kind }: Pick<Delivery, "jobId" | "url" | "kind">): void {
    this.#db.run(
      `INSERT INTO gryt_outbox (job_id, url, kind, tries, next_at) VALUES (?, ?, ?, 0, 0)
       ON CONFLICT DO NOTHING`,
      jobId,
      url,
      kind,
    );
  }

  /** Returns due deliveries of ended jobs, the longest due first. */
  due(now: number, limit: number): readonly Delivery[] {
    return this.#db.all(
      `SELECT gryt_outbox.job_id, gryt_id, url, kind, tries, first_at ${FROM_ENDED}
       AND next_at <= ? ORDER BY next_at LIMIT ?`,
      now,
      limit,
    ).map(parseDelivery);
  }

  /** Returns when the next delivery of an ended job is due; `undefined` if none is pending. */
  nextAt(): number | undefined {
    const at = this.#db.first(`SELECT min(next_at) AS at ${FROM_ENDED}`)?.["at"];
    return typeof at === "number" ? at : undefined;
  }

  /** Counts the pending deliveries of ended jobs. */
  pending(): number {
    const row = this.#db.first(`SELECT count(*) AS n ${FROM_ENDED}`);
    return row === undefined ? 0 : numberOf(row, "n");
  }

  /** Removes a delivery. */
  remove({ jobId, url }: Delivery): void {
    this.#db.run("DELETE FROM gryt_outbox WHERE job_id = ? AND url = ?", jobId, url);
  }

  /** Records a failed try and when the next one is due. */
  postpone(
    { jobId, url }: Delivery,
    { triedAt, nextAt }: { readonly triedAt: number; readonly nextAt: number },
  ): void {
    this.#db.run(
      `UPDATE gryt_outbox SET tries = tries + 1, first_at = coalesce(first_at, ?), next_at = ?
       WHERE job_id = ? AND url = ?`,
      Math.round(triedAt),
      Math.round(nextAt),
      jobId,
      url,
    );
  }
}

function parseDelivery(row: SqlRow): Delivery {
  const firstAt = row["first_at"];
  return {
    ...entryOf(row),
    url: String(row["url"]),
    kind: row["kind"] === "result" ? "result" : "callback",
    tries: numberOf(row, "tries"),
    ...(typeof firstAt === "number" ? { firstAt } : {}),
  };
}
