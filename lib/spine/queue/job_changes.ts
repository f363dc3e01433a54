/**
 * Changes to the rows of jobs, inside a transaction of the store.
 *
 * @module
 */
import type { JobId } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import {
  type ClaimEvent,
  type JobEvent,
  type Transition,
  transition,
} from "@lib/spine/jobs/state_machine.ts";
import { type Idempotency, replayedJobId, requireJob } from "@lib/spine/queue/job_queries.ts";
import {
  insertRow,
  JOB_COLUMNS,
  numberOf,
  parseJobRow,
  recordAttempt,
  updateRow,
} from "@lib/spine/queue/job_row.ts";
import { rankOf } from "@lib/spine/queue/queue_queries.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** The changes of a transaction so far, in order: each job as stored, and as it was before. */
export type Changes = readonly (readonly [job: Job, before: Job | undefined])[];

/** A job about to be stored. */
export interface NewJob {
  readonly job: Job;
  readonly sealedSecrets?: Uint8Array;
  readonly idempotency?: Idempotency;
  /**
   * Claims the first attempt in the same transaction, which has made these changes before;
   * `undefined`: the job takes its turn.
   */
  readonly claim?: (job: Job, changes: Changes) => ClaimEvent | undefined;
  /** Checks once more if the queue takes it; if it throws, nothing is stored. */
  readonly assertTaken?: () => void;
  /** Stores related rows in the same transaction; if it throws, nothing is stored. */
  readonly also?: () => void;
}

/** The result of storing a job. */
export type InsertResult =
  | { readonly kind: "created"; readonly job: Job; readonly superseded: readonly Job[] }
  /** The idempotency key was seen before, with the same request. */
  | { readonly kind: "replayed"; readonly job: Job };

/** Changes rows and numbers the revisions. */
export class JobChanges {
  readonly #db: Database;
  readonly #ageingMs: number;
  #revision: number;

  constructor({ db, ageingMs }: { readonly db: Database; readonly ageingMs: number }) {
    this.#db = db;
    this.#ageingMs = ageingMs;
    this.#revision = numberOf(
      db,
      `SELECT max((SELECT coalesce(max(revision), 0) FROM jobs),
                  (SELECT coalesce(max(top), 0) FROM removed_revision)) AS n`,
    ) ?? 0;
  }

  /** The revision of the latest change. */
  get revision(): number {
    return this.#revision;
  }

  /** Inserts a job, and adds what that changes to `changes`. */
  insert(request: NewJob, changes: [Job, Job | undefined][]): InsertResult {
    const { idempotency } = request;
    const known = idempotency === undefined ? undefined : replayedJobId(this.#db, idempotency);
    if (known !== undefined) return { kind: "replayed", job: requireJob(this.#db, known) };
    request.assertTaken?.();
    const { cancelInProgress, concurrencyGroup } = request.job.spec;
    const superseded = cancelInProgress && concurrencyGroup !== undefined
      ? this.#supersede(request.job, concurrencyGroup, changes)
      : [];
    const job = { ...request.job, revision: ++this.#revision };
    const event = request.claim?.(job, changes);
    const claimed = event === undefined ? undefined : transition(job, event);
    const stored = claimed?.kind === "changed"
      ? { ...claimed.job, revision: ++this.#revision }
      : job;
    insertRow(this.#db, stored, {
      rank: rankOf(job, this.#ageingMs),
      sealedSecrets: request.sealedSecrets,
    });
    if (event !== undefined) recordAttempt(this.#db, job, stored, event);
    if (idempotency !== undefined) {
      this.#db.run(
        "INSERT INTO idempotency_keys (key, request_hash, job_id) VALUES (?, ?, ?)",
        idempotency.key,
        idempotency.requestHash,
        job.id,
      );
    }
    request.also?.();
    changes.push([job, undefined]);
    if (stored !== job) changes.push([stored, job]);
    return { kind: "created", job: stored, superseded };
  }

  /**
   * Applies an event to a job, and adds what that changes to `changes`.
   *
   * @throws {CicdError} `job_not_found`
   */
  apply(id: JobId, event: JobEvent, changes: [Job, Job | undefined][]): Transition {
    const before = requireJob(this.#db, id);
    return this.#store(before, event, changes);
  }

  #supersede(by: Job, group: string, changes: [Job, Job | undefined][]): readonly Job[] {
    const rows = this.#db.all(
      `SELECT ${JOB_COLUMNS} FROM jobs INDEXED BY jobs_in_group
       WHERE project = ? AND concurrency_group = ? AND state IN ('queued', 'starting', 'running')`,
      by.spec.project,
      group,
    );
    const cancel = { reason: "superseded", by: `by job ${by.id}` } as const;
    const event: JobEvent = { kind: "cancel_requested", cancel, at: by.createdAt };
    return rows.map(parseJobRow).flatMap((job) => {
      const result = this.#store(job, event, changes);
      return result.kind === "changed" ? [result.job] : [];
    });
  }

  #store(before: Job, event: JobEvent, changes: [Job, Job | undefined][]): Transition {
    const result = transition(before, event);
    if (result.kind !== "changed") return result;
    const job = { ...result.job, revision: ++this.#revision };
    updateRow(this.#db, job);
    recordAttempt(this.#db, before, job, event);
    changes.push([job, before]);
    return { kind: "changed", job };
  }
}
