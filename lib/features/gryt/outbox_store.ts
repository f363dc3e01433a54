/**
 * Results that are owed to somebody, on disk.
 *
 * A row is stored with its job and leaves when it was delivered, was given up,
 * or the job's record goes.
 *
 * @module
 */
import type { JobId } from "@lib/core/ids.ts";
import type { Database, SqlRow } from "@lib/foundations/store/database.ts";
import { jobIdOf, numberOf } from "@lib/features/gryt/ledger.ts";

/** `callback`: to the `callback_url` of a request. `result`: to the main API a job was pulled from. */
export type DeliveryKind = "callback" | "result";

/** A delivery of a job that has ended. */
export interface Delivery {
  readonly jobId: JobId;
  readonly grytId: number;
  readonly url: string;
  readonly kind: DeliveryKind;
  /** How often it was tried. */
  readonly tries: number;
  /** When it was first tried. */
  readonly firstAt?: number;
}

const FROM_ENDED = `FROM gryt_outbox JOIN jobs ON jobs.id = gryt_outbox.job_id
  JOIN gryt_jobs ON gryt_jobs.job_id = gryt_outbox.job_id WHERE jobs.finished_at IS NOT NULL`;

/** The table of deliveries. */
export class OutboxStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Adds a delivery, in the transaction that stores the job or later; one that is owed already stays
   * as it is.
   */
  add({ jobId, url, kind }: Pick<Delivery, "jobId" | "url" | "kind">): void {
    this.#db.run(
      `INSERT INTO gryt_outbox (job_id, url, kind, tries, next_at) VALUES (?, ?, ?, 0, 0)
       ON CONFLICT DO NOTHING`,
      jobId,
      url,
      kind,
    );
  }

  /** Deliveries of ended jobs whose time has come, the longest due first. */
  due(now: number, limit: number): readonly Delivery[] {
    return this.#db.all(
      `SELECT gryt_outbox.job_id, gryt_id, url, kind, tries, first_at ${FROM_ENDED}
       AND next_at <= ? ORDER BY next_at LIMIT ?`,
      now,
      limit,
    ).map(parseDelivery);
  }

  /** When the next delivery of an ended job is due; `undefined` if none is owed. */
  nextAt(): number | undefined {
    const at = this.#db.first(`SELECT min(next_at) AS at ${FROM_ENDED}`)?.["at"];
    return typeof at === "number" ? at : undefined;
  }

  /** Deliveries that are owed for ended jobs. */
  pending(): number {
    const row = this.#db.first(`SELECT count(*) AS n ${FROM_ENDED}`);
    return row === undefined ? 0 : numberOf(row, "n");
  }

  /** Strikes out a delivery. */
  remove({ jobId, url }: Delivery): void {
    this.#db.run("DELETE FROM gryt_outbox WHERE job_id = ? AND url = ?", jobId, url);
  }

  /** Notes a failed try and when the next one is due. */
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
    jobId: jobIdOf(row),
    grytId: numberOf(row, "gryt_id"),
    url: String(row["url"]),
    kind: row["kind"] === "result" ? "result" : "callback",
    tries: numberOf(row, "tries"),
    ...(typeof firstAt === "number" ? { firstAt } : {}),
  };
}
