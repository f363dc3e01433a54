/**
 * The durable queue and history.
 *
 * Every method returns, or resolves, once the change is on disk, so an answer given after it holds.
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
  findJob,
  heldJobs,
  type Idempotency,
  idsWithPrefix,
  replayedJobId,
  requireJob,
} from "@lib/spine/queue/job_queries.ts";
import { parseAttemptRow } from "@lib/spine/queue/job_row.ts";
import { CommitGroup, type Durability, type GroupSchedule } from "@lib/spine/queue/commit_group.ts";
import {
  type Changes,
  type InsertResult,
  JobChanges,
  type NewJob,
} from "@lib/spine/queue/job_changes.ts";
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

/** Options for {@linkcode JobStore}. */
export interface JobStoreOptions {
  readonly db: Database;
  /** Waiting time that counts as one step of priority. */
  readonly ageingMs: number;
  /** Called after each commit with the job as stored, in the order of revisions. */
  readonly onChange: (job: Job, before: Job | undefined) => void;
  /** Called with a cancelled job if the cancel cannot be recorded, so that it stops nevertheless. */
  readonly onUnrecorded?: (job: Job) => void;
  /** When the changes of {@linkcode JobStore.insertSoon} and its like are stored; at once by default. */
  readonly schedule?: GroupSchedule;
  /**
   * Returns the queued jobs that start in the place of those that end in a transaction, which claims
   * them too; asked again until there is none.
   */
  readonly successors?: (changes: Changes) => Claims | undefined;
}

/** Jobs that start. */
export interface Claims {
  readonly ids: readonly JobId[];
  readonly event: ClaimEvent;
}

/** The durability of events; `full` for the others. */
const DURABILITY: Readonly<Partial<Record<JobEvent["kind"], Durability>>> = {
  started: "relaxed",
  checked_out: "relaxed",
  cancel_requested: "urgent",
  ended: "urgent",
};

/** The store of jobs. One per state directory; see `lib/foundations/store/state_lock.ts`. */
export class JobStore {
  readonly #db: Database;
  readonly #options: JobStoreOptions;
  readonly #changes: JobChanges;
  readonly #group: CommitGroup;
  readonly #untold: Changes[number][] = [];
  #isTelling = false;

  constructor(options: JobStoreOptions) {
    this.#db = options.db;
    this.#options = options;
    this.#changes = new JobChanges(options);
    this.#group = new CommitGroup({
      schedule: options.schedule,
      transaction: (body, { durability, isAlone }) => {
        let changes: [Job, Job | undefined][] = [];
        this.#db.transaction(() => {
          body(changes = []);
          if (!isAlone) this.#claimSuccessors(changes);
        }, durability);
        return () => this.#tell(changes);
      },
    });
  }

  /** The revision of the latest change. */
  get revision(): number {
    return this.#changes.revision;
  }

  /**
   * Stores a job. A job with `cancelInProgress` cancels the open jobs of its group in the same
   * transaction.
   *
   * @throws {CicdError} `idempotency_key_reused`, `disk_full`, `io_failed`; nothing was stored.
   */
  insert(request: NewJob): InsertResult {
    return this.#publishing(
      (changes) => this.#changes.insert(request, changes),
      (run) => this.#db.transaction(run),
    );
  }

  /** Stores a job as {@linkcode JobStore.insert} does, with others of the moment in one commit. */
  insertSoon(request: NewJob): Promise<InsertResult> {
    return this.#group.add({
      durability: "full",
      run: (changes) => this.#changes.insert(request, changes),
    });
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
    return this.#publishing((changes) => {
      const results = ids.map((id) => this.#changes.apply(id, event, changes));
      if (changes.length > 0) also?.();
      return results;
    }, (run) => this.#transact(run, ids, event));
  }

  /**
   * Applies an event as {@linkcode JobStore.apply} does, with others of the moment in one commit;
   * jobs that take the place of an ended one are claimed in it. No way to cancel.
   */
  applySoon(
    id: JobId,
    event: Exclude<JobEvent, { kind: "cancel_requested" }>,
  ): Promise<Transition> {
    return this.#group.add({
      durability: DURABILITY[event.kind] ?? "full",
      run: (changes) => this.#changes.apply(id, event, changes),
    });
  }

  /** Runs a transaction and tells what it has changed. */
  #publishing<T>(
    body: (changes: [Job, Job | undefined][]) => T,
    transact: (run: () => T) => T,
  ): T {
    let changes: [Job, Job | undefined][] = [];
    const result = transact(() => body(changes = []));
    this.#tell(changes);
    return result;
  }

  /** Tells of changes in their order: one that a listener makes comes after those it is told of. */
  #tell(changes: Changes): void {
    this.#untold.push(...changes);
    if (this.#isTelling) return;
    this.#isTelling = true;
    try {
      for (let next; (next = this.#untold.shift()) !== undefined;) this.#options.onChange(...next);
    } finally {
      this.#isTelling = false;
    }
  }

  #claimSuccessors(changes: [Job, Job | undefined][]): void {
    // Ends also if a claim changes nothing.
    for (let before = -1; before < changes.length;) {
      before = changes.length;
      const claims = this.#options.successors?.(changes);
      if (claims === undefined) return;
      for (const id of claims.ids) this.#changes.apply(id, claims.event, changes);
    }
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
    return findJob(this.#db, id);
  }

  /** @throws {CicdError} `job_not_found` */
  require(id: JobId): Job {
    return requireJob(this.#db, id);
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

  /** Returns the jobs whose place is kept, according to the record; of all projects, or of one. */
  held(project?: ProjectName): readonly Job[] {
    return heldJobs(this.#db, project);
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
          this.revision,
        );
      }
      return removed;
    }, "urgent");
  }

  /** Returns true if the job is on record. */
  has(id: JobId): boolean {
    return this.#db.first("SELECT 1 AS one FROM jobs WHERE id = ?", id) !== undefined;
  }
}
