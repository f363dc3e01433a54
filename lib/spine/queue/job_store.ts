/**
 * The durable queue and history.
 *
 * Every method is synchronous and returns when the disk has the change, so a
 * caller that answers after it has answered with the truth.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import {
  type ALL_PROJECTS,
  type IntakeMode,
  readIntakeModes,
  writeIntakeMode,
} from "@lib/spine/queue/intake_modes.ts";
import {
  type AttemptTotals,
  attemptTotals,
  countsByState,
  type EndedJob,
  endedJobs,
  idsWithPrefix,
  type JobFilter,
  type JobPage,
  jobsChangedSince,
  listJobs,
  type StateCount,
} from "@lib/spine/queue/job_queries.ts";
import {
  integer,
  JOB_COLUMNS,
  optionalBytes,
  parseAttemptRow,
  parseJobRow,
  requireJobId,
  text,
} from "@lib/spine/queue/job_row.ts";
import { insertRow, recordAttempt, updateRow } from "@lib/spine/queue/job_writes.ts";
import type { Attempt, Job } from "@lib/spine/jobs/model.ts";
import {
  nextNotBefore,
  oldestQueuedAt,
  positionOf,
  type ProjectCandidates,
  queueHeads,
  rankOf,
} from "@lib/spine/queue/queue_queries.ts";
import { type JobEvent, type Transition, transition } from "@lib/spine/jobs/state_machine.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** A job about to be stored. */
export interface NewJob {
  readonly job: Job;
  readonly sealedSecrets?: Uint8Array;
  readonly idempotency?: Idempotency;
  /** Stores what belongs to the new job in the same transaction; a throw stores nothing. */
  readonly also?: () => void;
}

/** What came of storing a job. */
export type InsertResult =
  | { readonly kind: "created"; readonly job: Job; readonly superseded: readonly Job[] }
  /** The idempotency key was seen before, with the same request. */
  | { readonly kind: "replayed"; readonly job: Job };

/** An idempotency key, and what was asked with it. */
export interface Idempotency {
  readonly key: string;
  readonly requestHash: string;
}

/** Options for {@linkcode JobStore}. */
export interface JobStoreOptions {
  readonly db: Database;
  /** Waiting this long is worth one step of priority. */
  readonly ageingMs: number;
  /** Called after each commit, with the job as it stands now. */
  readonly onChange: (job: Job, before: Job | undefined) => void;
}

/** The store of jobs. One per state directory; see `lib/foundations/store/state_lock.ts`. */
export class JobStore {
  readonly #db: Database;
  readonly #options: JobStoreOptions;
  #revision: number;

  constructor(options: JobStoreOptions) {
    this.#db = options.db;
    this.#options = options;
    this.#revision = integer(
      this.#db.first(
        `SELECT max((SELECT coalesce(max(revision), 0) FROM jobs),
                    (SELECT coalesce(max(top), 0) FROM removed_revision)) AS top`,
      ) ?? {},
      "top",
    );
  }

  /** The revision of the latest change. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * Stores a job. A job with `cancelInProgress` cancels the open jobs of its group in the same
   * transaction.
   *
   * @throws {CicdError} `idempotency_key_reused`, `disk_full`, `io_failed`; nothing was stored.
   */
  insert(request: NewJob): InsertResult {
    const { idempotency } = request;
    const changes: [Job, Job | undefined][] = [];
    const result = this.#db.transaction((): InsertResult => {
      const known = idempotency === undefined ? undefined : this.replayed(idempotency);
      if (known !== undefined) return { kind: "replayed", job: known };
      const job = { ...request.job, revision: ++this.#revision };
      const superseded = job.spec.cancelInProgress && job.spec.concurrencyGroup !== undefined
        ? this.#supersede(job, job.spec.concurrencyGroup, changes)
        : [];
      insertRow(this.#db, job, {
        rank: rankOf(job, this.#options.ageingMs),
        sealedSecrets: request.sealedSecrets,
      });
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
      return { kind: "created", job, superseded };
    });
    for (const [job, before] of changes) this.#options.onChange(job, before);
    return result;
  }

  /**
   * Applies an event and stores what it changes, durably.
   *
   * @returns What the state machine said, with the job as stored.
   * @throws {CicdError} `job_not_found`, `disk_full`, `io_failed`.
   */
  apply(id: JobId, event: JobEvent): Transition {
    const [result] = this.applyAll([id], event);
    if (result === undefined) throw new TypeError("One job has one transition");
    return result;
  }

  /**
   * Applies an event to several jobs in one transaction; all of it is stored, or nothing.
   *
   * That an attempt runs is told again by its end, so this alone need not wait for the disk.
   *
   * @returns What the state machine said to each.
   * @throws {CicdError} As {@linkcode apply}.
   */
  applyAll(ids: readonly JobId[], event: JobEvent): readonly Transition[] {
    const changes: [Job, Job][] = [];
    const results = this.#db.transaction(
      () =>
        ids.map((id) => {
          const before = this.require(id);
          const result = this.#store(before, transition(before, event), event);
          if (result.kind === "changed") changes.push([result.job, before]);
          return result;
        }),
      event.kind === "started" ? "relaxed" : "full",
    );
    for (const [job, before] of changes) this.#options.onChange(job, before);
    return results;
  }

  get(id: JobId): Job | undefined {
    const row = this.#db.first(`SELECT ${JOB_COLUMNS} FROM jobs WHERE id = ?`, id);
    return row === undefined ? undefined : parseJobRow(row);
  }

  /** @throws {CicdError} `job_not_found` */
  require(id: JobId): Job {
    const job = this.get(id);
    if (job === undefined) {
      throw new CicdError(
        "job_not_found",
        `Cannot find job "${id}": it never was, or its record has been removed by retention`,
      );
    }
    return job;
  }

  /**
   * The job that was stored with this key before; `undefined` if none was.
   *
   * @throws {CicdError} `idempotency_key_reused` if the key belongs to another request.
   */
  replayed(idempotency: Idempotency): Job | undefined {
    const row = this.#db.first(
      "SELECT request_hash, job_id FROM idempotency_keys WHERE key = ?",
      idempotency.key,
    );
    if (row === undefined) return undefined;
    if (text(row, "request_hash") !== idempotency.requestHash) {
      throw new CicdError(
        "idempotency_key_reused",
        `Cannot submit with this Idempotency-Key: it belongs to job "${text(row, "job_id")}", ` +
          `which was submitted with a different body; use a new key`,
      );
    }
    return this.require(requireJobId(text(row, "job_id")));
  }

  /** Jobs whose ids begin with `prefix`; of several, two. @param projects Only jobs of these. */
  findByPrefix(prefix: string, projects?: readonly ProjectName[]): readonly JobId[] {
    return idsWithPrefix(this.#db, prefix, projects);
  }

  attempts(id: JobId): readonly Attempt[] {
    return this.#db.all("SELECT * FROM attempts WHERE job_id = ? ORDER BY number", id)
      .map(parseAttemptRow);
  }

  /** The boot of the machine in which the job's latest attempt was claimed. */
  bootIdOf(job: Job): string {
    const row = this.#db.first(
      "SELECT boot_id FROM attempts WHERE job_id = ? AND number = ?",
      job.id,
      job.attempt,
    );
    return row === undefined ? "" : text(row, "boot_id");
  }

  sealedSecrets(id: JobId): Uint8Array | undefined {
    const row = this.#db.first("SELECT sealed_secrets FROM jobs WHERE id = ?", id);
    return row === undefined ? undefined : optionalBytes(row, "sealed_secrets");
  }

  /** At most `limit` jobs, fewer if they are large. */
  list(filter: JobFilter): JobPage {
    return listJobs(this.#db, filter);
  }

  /**
   * Jobs changed after `revision`, oldest change first, each as it stands now; at most `limit`,
   * fewer if they are large.
   */
  changedSince(revision: number, limit: number): readonly Job[] {
    return jobsChangedSince(this.#db, revision, limit);
  }

  /** Jobs whose attempt is under way, as far as the record knows. */
  inFlight(): readonly Job[] {
    return this.#db.all(
      `SELECT ${JOB_COLUMNS} FROM jobs WHERE state IN ('starting', 'running') ORDER BY id`,
    ).map(parseJobRow);
  }

  /** How many jobs are in each state, by project. */
  counts(): readonly StateCount[] {
    return countsByState(this.#db);
  }

  /** Sums over all attempts that ever ended; they only grow, also across restarts. */
  totals(): readonly AttemptTotals[] {
    return attemptTotals(this.#db);
  }

  /** When the oldest queued job was submitted; `undefined` if none waits. */
  oldestQueuedAt(): number | undefined {
    return oldestQueuedAt(this.#db);
  }

  queuedCount(): number {
    return this.#count("state = 'queued'");
  }

  inFlightCount(): number {
    return this.#count("state IN ('starting', 'running')");
  }

  /** For each project with queued work, the jobs that may start now, best first. */
  candidates(now: number, perProject: number): readonly ProjectCandidates[] {
    return queueHeads(this.#db, { now, perProject });
  }

  /** When the next queued job that waits for its time may start; `undefined` if none waits. */
  nextNotBefore(now: number): number | undefined {
    return nextNotBefore(this.#db, now);
  }

  /** How many queued jobs of the project start before this one. */
  position(job: Job): number {
    return positionOf(this.#db, job, rankOf(job, this.#options.ageingMs));
  }

  intakeModes(): ReadonlyMap<string, IntakeMode> {
    return readIntakeModes(this.#db);
  }

  setIntakeMode(project: ProjectName | typeof ALL_PROJECTS, mode: IntakeMode): void {
    writeIntakeMode(this.#db, project, mode);
  }

  /** Ended jobs, the oldest end first: what retention chooses from. */
  ended(): readonly EndedJob[] {
    return endedJobs(this.#db);
  }

  /** Removes an ended job's record; `false` if it is not there or has not ended. */
  remove(id: JobId): boolean {
    return this.#db.transaction(() => {
      const removed = this.#db.run(
        "DELETE FROM jobs WHERE id = ? AND state NOT IN ('queued', 'starting', 'running')",
        id,
      ) > 0;
      // A revision is never given twice, also after a restart without the job that had the last.
      if (removed) {
        this.#db.run(
          `INSERT INTO removed_revision (id, top) VALUES (1, ?)
           ON CONFLICT DO UPDATE SET top = excluded.top`,
          this.#revision,
        );
      }
      return removed;
    });
  }

  /** Whether a job is on record. */
  has(id: JobId): boolean {
    return this.#db.first("SELECT 1 AS one FROM jobs WHERE id = ?", id) !== undefined;
  }

  #count(condition: string): number {
    return integer(
      this.#db.first(`SELECT count(*) AS n FROM jobs WHERE ${condition}`) ?? {},
      "n",
    );
  }

  #supersede(by: Job, group: string, changes: [Job, Job | undefined][]): readonly Job[] {
    const rows = this.#db.all(
      `SELECT ${JOB_COLUMNS} FROM jobs WHERE project = ? AND concurrency_group = ?
       AND state IN ('queued', 'starting', 'running')`,
      by.spec.project,
      group,
    );
    return rows.map(parseJobRow).flatMap((job) => {
      const event: JobEvent = {
        kind: "cancel_requested",
        cancel: { reason: "superseded", by: `by job ${by.id}` },
        at: by.createdAt,
      };
      const result = this.#store(job, transition(job, event), event);
      if (result.kind !== "changed") return [];
      changes.push([result.job, job]);
      return [result.job];
    });
  }

  #store(before: Job, result: Transition, event: JobEvent): Transition {
    if (result.kind !== "changed") return result;
    const job = { ...result.job, revision: ++this.#revision };
    updateRow(this.#db, job);
    recordAttempt(this.#db, before, job, event);
    return { kind: "changed", job };
  }
}
