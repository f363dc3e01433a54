/**
 * The durable queue and history.
 *
 * Every method is synchronous and returns once the change is on disk, so an answer given after it
 * holds.
 *
 * @module
 */
import { CicdError, isDiskFull } from "@lib/core/errors.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import { countIn, countsByState, type StateCount } from "@lib/spine/queue/job_counts.ts";
import {
  type JobFilter,
  type JobPage,
  jobsChangedSince,
  listJobs,
} from "@lib/spine/queue/job_list.ts";
import {
  type AttemptTotals,
  attemptTotals,
  bootIdOf,
  type EndedJob,
  endedJobs,
  type EndedPage,
  type Idempotency,
  idsWithPrefix,
  replayedJobId,
} from "@lib/spine/queue/job_queries.ts";
import {
  insertRow,
  JOB_COLUMNS,
  numberOf,
  parseAttemptRow,
  parseJobRow,
  recordAttempt,
  updateRow,
} from "@lib/spine/queue/job_row.ts";
import { type Attempt, isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import {
  type ALL_PROJECTS,
  type IntakeMode,
  jobsInFlight,
  nextNotBefore,
  oldestQueuedAt,
  type ProjectCandidates,
  queueCandidates,
  queuePosition,
  rankOf,
  readIntakeModes,
  writeIntakeMode,
} from "@lib/spine/queue/queue_queries.ts";
import {
  type ClaimEvent,
  type JobEvent,
  type Transition,
  transition,
} from "@lib/spine/jobs/state_machine.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** A job about to be stored. */
export interface NewJob {
  readonly job: Job;
  readonly sealedSecrets?: Uint8Array;
  readonly idempotency?: Idempotency;
  /** Claims the first attempt in the same transaction; `undefined`: the job takes its turn. */
  readonly claim?: (job: Job) => ClaimEvent | undefined;
  /** Stores related rows in the same transaction; if it throws, nothing is stored. */
  readonly also?: () => void;
}

/** The result of storing a job. */
export type InsertResult =
  | { readonly kind: "created"; readonly job: Job; readonly superseded: readonly Job[] }
  /** The idempotency key was seen before, with the same request. */
  | { readonly kind: "replayed"; readonly job: Job };

/** Options for {@linkcode JobStore}. */
export interface JobStoreOptions {
  readonly db: Database;
  /** Waiting time that counts as one step of priority. */
  readonly ageingMs: number;
  /** Called after each commit with the job as stored. */
  readonly onChange: (job: Job, before: Job | undefined) => void;
  /** Called with a cancelled job if the cancel cannot be recorded, so that it stops nevertheless. */
  readonly onUnrecorded?: (job: Job) => void;
}

/** The durability of events; `full` for the others. */
const DURABILITY: Readonly<Partial<Record<JobEvent["kind"], "relaxed" | "urgent">>> = {
  started: "relaxed",
  checked_out: "relaxed",
  cancel_requested: "urgent",
  ended: "urgent",
};

/** The store of jobs. One per state directory; see `lib/foundations/store/state_lock.ts`. */
export class JobStore {
  readonly #db: Database;
  readonly #options: JobStoreOptions;
  #revision: number;

  constructor(options: JobStoreOptions) {
    this.#db = options.db;
    this.#options = options;
    this.#revision = numberOf(
      this.#db,
      `SELECT max((SELECT coalesce(max(revision), 0) FROM jobs),
                  (SELECT coalesce(max(top), 0) FROM removed_revision)) AS n`,
    ) ?? 0;
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
      const event = request.claim?.(job);
      const claimed = event === undefined ? undefined : transition(job, event);
      const stored = claimed?.kind === "changed"
        ? { ...claimed.job, revision: ++this.#revision }
        : job;
      insertRow(this.#db, stored, {
        rank: rankOf(job, this.#options.ageingMs),
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
    });
    for (const [job, before] of changes) this.#options.onChange(job, before);
    return result;
  }

  /**
   * Applies an event and stores what it changes, durably.
   *
   * @param also Stores related values in the same transaction; if it throws, nothing is stored.
   * @returns The state machine's result, with the job as stored.
   * @throws {CicdError} `job_not_found`, `disk_full`, `io_failed`.
   */
  apply(id: JobId, event: JobEvent, also?: () => void): Transition {
    const [result] = this.applyAll([id], event, also);
    if (result === undefined) throw new TypeError("One job has one transition");
    return result;
  }

  /**
   * Applies an event to several jobs in one transaction. Only `started` and `checked_out` do not
   * wait for the disk, as the end of the attempt reports both again. Ends and cancels may use the
   * reserve of a full disk; a job whose cancel does not fit even there is stopped all the same.
   *
   * @returns The state machine's result for each job.
   * @throws {CicdError} As {@linkcode apply}.
   */
  applyAll(ids: readonly JobId[], event: JobEvent, also?: () => void): readonly Transition[] {
    let changes: [Job, Job][] = [];
    const apply = () => {
      changes = [];
      const stored = ids.map((id) => {
        const before = this.require(id);
        const result = this.#store(before, transition(before, event), event);
        if (result.kind === "changed") changes.push([result.job, before]);
        return result;
      });
      if (changes.length > 0) also?.();
      return stored;
    };
    const results = this.#transact(apply, ids, event);
    for (const [job, before] of changes) this.#options.onChange(job, before);
    return results;
  }

  #transact<T>(apply: () => T, ids: readonly JobId[], event: JobEvent): T {
    try {
      return this.#db.transaction(apply, DURABILITY[event.kind] ?? "full");
    } catch (error) {
      if (event.kind !== "cancel_requested" || !isDiskFull(error)) throw error;
      const stopped = ids.flatMap((id) => {
        const result = transition(this.require(id), event);
        return result.kind === "changed" ? [result.job] : [];
      }).filter(({ state }) => !isTerminal(state));
      for (const job of stopped) this.#options.onUnrecorded?.(job);
      if (stopped.length === 0) throw error;
      throw new CicdError(
        "disk_full",
        `Cannot record the cancel of job "${ids.join(", ")}" yet: the disk is full; the job is ` +
          "being stopped, and its end is recorded once there is room",
        { cause: error, retryAfterMs: 5_000 },
      );
    }
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
   * Returns the job that was stored with this key before; `undefined` if there is none.
   *
   * @throws {CicdError} `idempotency_key_reused` if the key belongs to another request.
   */
  replayed(idempotency: Idempotency): Job | undefined {
    const id = replayedJobId(this.#db, idempotency);
    return id === undefined ? undefined : this.require(id);
  }

  /** Returns at most six ids that begin with `prefix`; only of `projects` if they are given. */
  findByPrefix(prefix: string, projects?: readonly ProjectName[]): readonly JobId[] {
    return idsWithPrefix(this.#db, prefix, projects);
  }

  attempts(id: JobId): readonly Attempt[] {
    return this.#db.all("SELECT * FROM attempts WHERE job_id = ? ORDER BY number", id)
      .map(parseAttemptRow);
  }

  /** Returns the id of the machine's boot in which the job's latest attempt was claimed. */
  bootIdOf(job: Job): string {
    return bootIdOf(this.#db, job);
  }

  /** Runs an ended job again, with new secrets for those that were removed at its end. */
  retry(
    id: JobId,
    { at, sealedSecrets }: { readonly at: number; readonly sealedSecrets: Uint8Array | undefined },
  ): Transition {
    return this.apply(id, { kind: "retry_requested", at }, () => {
      if (sealedSecrets === undefined) return;
      const sql = "UPDATE jobs SET sealed_secrets = ? WHERE id = ? AND sealed_secrets IS NULL";
      if (this.#db.run(sql, sealedSecrets, id) > 0) return;
      // Another request was faster.
      throw new CicdError("state_conflict", `Cannot retry job "${id}": its logs are being masked`);
    });
  }

  sealedSecrets(id: JobId): Uint8Array | undefined {
    const value = this.#db.first("SELECT sealed_secrets FROM jobs WHERE id = ?", id)
      ?.["sealed_secrets"];
    return value instanceof Uint8Array ? value : undefined;
  }

  /** Returns at most `limit` jobs, fewer if they are large. */
  list(filter: JobFilter): JobPage {
    return listJobs(this.#db, filter);
  }

  /** Returns at most `limit` jobs changed after `revision`, oldest change first. */
  changedSince(revision: number, limit: number): readonly Job[] {
    return jobsChangedSince(this.#db, revision, limit);
  }

  /** Returns the jobs with an attempt under way, according to the record. */
  inFlight(): readonly Job[] {
    return jobsInFlight(this.#db);
  }

  /** Counts the jobs in each state, by project. */
  counts(): readonly StateCount[] {
    return countsByState(this.#db);
  }

  /** Sums over all attempts that ever ended; the sums only grow, across restarts too. */
  totals(): readonly AttemptTotals[] {
    return attemptTotals(this.#db);
  }

  /** Returns the time when the oldest queued job was submitted; `undefined` if none is queued. */
  oldestQueuedAt(): number | undefined {
    return oldestQueuedAt(this.#db);
  }

  queuedCount(): number {
    return countIn(this.#db, "queued");
  }

  inFlightCount(): number {
    return countIn(this.#db, "starting", "running");
  }

  /** Returns the jobs that may start now, best first, for each project with queued work. */
  candidates(now: number, perProject: number): readonly ProjectCandidates[] {
    return queueCandidates(this.#db, { now, perProject });
  }

  /** Returns the time when the next delayed job may start; `undefined` if there is none. */
  nextNotBefore(now: number): number | undefined {
    return nextNotBefore(this.#db, now);
  }

  /** Counts the queued jobs of the project that start before this one. */
  position(job: Job): number {
    return queuePosition(this.#db, job, rankOf(job, this.#options.ageingMs));
  }

  intakeModes(): ReadonlyMap<string, IntakeMode> {
    return readIntakeModes(this.#db);
  }

  setIntakeMode(project: ProjectName | typeof ALL_PROJECTS, mode: IntakeMode): void {
    writeIntakeMode(this.#db, project, mode);
  }

  /** Returns the next ended jobs, oldest end first: the candidates of retention. */
  ended(page: EndedPage): readonly EndedJob[] {
    return endedJobs(this.#db, page);
  }

  /** Removes an ended job's record; returns `false` if there is none or the job has not ended. */
  remove(id: JobId): boolean {
    return this.#db.transaction(() => {
      const removed = this.#db.run(
        "DELETE FROM jobs WHERE id = ? AND state NOT IN ('queued', 'starting', 'running')",
        id,
      ) > 0;
      // A revision is never reused, even after a restart without the job that had the last one.
      if (removed) {
        this.#db.run(
          `INSERT INTO removed_revision (id, top) VALUES (1, ?)
           ON CONFLICT DO UPDATE SET top = excluded.top`,
          this.#revision,
        );
      }
      return removed;
    }, "urgent");
  }

  /** Returns true if the job is on record. */
  has(id: JobId): boolean {
    return this.#db.first("SELECT 1 AS one FROM jobs WHERE id = ?", id) !== undefined;
  }

  #supersede(by: Job, group: string, changes: [Job, Job | undefined][]): readonly Job[] {
    const rows = this.#db.all(
      `SELECT ${JOB_COLUMNS} FROM jobs INDEXED BY jobs_in_group
       WHERE project = ? AND concurrency_group = ? AND state IN ('queued', 'starting', 'running')`,
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
