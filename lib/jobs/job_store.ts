/**
 * The durable queue and history.
 *
 * Every method is synchronous and returns when the disk has the change, so a
 * caller that answers after it has answered with the truth.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { type JobId, parseJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import {
  integer,
  JOB_COLUMNS,
  optionalBytes,
  parseAttemptRow,
  parseJobRow,
  text,
} from "@lib/jobs/job_row.ts";
import { type Attempt, type Job, type JobState } from "@lib/jobs/model.ts";
import { insertRow, recordAttempt, updateRow } from "@lib/jobs/job_writes.ts";
import { type JobEvent, type Transition, transition } from "@lib/jobs/state_machine.ts";
import type { Database, SqlValue } from "@lib/store/database.ts";

/** Whether a project, or all of them, take and start jobs. */
export type IntakeMode = "open" | "paused" | "draining";

/** The key under which the mode of all projects together is kept. */
export const ALL_PROJECTS = "*";

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

/** Which jobs to list; newest first. */
export interface JobFilter {
  readonly project?: ProjectName;
  /** Only jobs of these. */
  readonly projects?: readonly ProjectName[];
  readonly states?: readonly JobState[];
  /** Only jobs older than this one. */
  readonly before?: JobId;
  readonly limit: number;
}

/** Part of a list of jobs. */
export interface JobPage {
  readonly jobs: readonly Job[];
  /** Whether the list goes on after these. */
  readonly more: boolean;
}

/** An idempotency key, and what was asked with it. */
export interface Idempotency {
  readonly key: string;
  readonly requestHash: string;
}

/** The first queued jobs of a project that nothing but a free place holds back. */
export interface ProjectHeads {
  readonly project: ProjectName;
  readonly running: number;
  readonly heads: readonly QueuedHead[];
}

/** A queued job as the scheduler sees it. */
export interface QueuedHead {
  readonly id: JobId;
  /** Smaller starts earlier; see {@linkcode rankOf}. */
  readonly rank: number;
  readonly group?: string;
}

/** An ended job as retention sees it. */
export interface EndedJob {
  readonly id: JobId;
  readonly project: ProjectName;
  readonly finishedAt: number;
  /** Bytes of log, over all attempts. */
  readonly logBytes: number;
}

/** Sums over the ended attempts of a project that ended alike. */
export interface AttemptTotals {
  readonly project: string;
  readonly state: string;
  readonly reason: string;
  readonly attempts: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly logBytes: number;
}

/** Options for {@linkcode JobStore}. */
export interface JobStoreOptions {
  readonly db: Database;
  /** Waiting this long is worth one step of priority. */
  readonly ageingMs: number;
  /** Called after each commit, with the job as it stands now. */
  readonly onChange: (job: Job, before: Job | undefined) => void;
}

/** Bytes of specs in one page of a list. */
const PAGE_MAX_BYTES = 8 * 1024 * 1024;

/**
 * A queued job's place. Priority with ageing is linear in time, so the order
 * of two jobs never changes while they wait, and the place can be an indexed
 * column: one step of priority counts as `ageingMs` of waiting.
 */
export function rankOf(job: Job, ageingMs: number): number {
  return job.createdAt - job.spec.priority * ageingMs;
}

/** The store of jobs. One per state folder; see `lib/store/state_lock.ts`. */
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
    const among = projects === undefined ? "" : `AND project IN (${placesFor(projects)})`;
    return this.#db.all(
      `SELECT id FROM jobs WHERE id >= ? AND id < ? ${among} ORDER BY id LIMIT 2`,
      prefix,
      `${prefix}g`,
      ...projects ?? [],
    ).map((row) => requireJobId(text(row, "id")));
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
    const where: string[] = [];
    const values: SqlValue[] = [];
    if (filter.project !== undefined) {
      where.push("project = ?");
      values.push(filter.project);
    }
    if (filter.projects !== undefined) {
      where.push(`project IN (${placesFor(filter.projects)})`);
      values.push(...filter.projects);
    }
    if (filter.states !== undefined) {
      where.push(`state IN (${placesFor(filter.states)})`);
      values.push(...filter.states);
    }
    if (filter.before !== undefined) {
      where.push("id < ?");
      values.push(filter.before);
    }
    const condition = where.length === 0 ? "" : `WHERE ${where.join(" AND ")}`;
    return this.#page(`${condition} ORDER BY id DESC`, values, filter.limit);
  }

  /**
   * Jobs changed after `revision`, oldest change first, each as it stands now; at most `limit`,
   * fewer if they are large.
   */
  changedSince(revision: number, limit: number): readonly Job[] {
    return this.#page("WHERE revision > ? ORDER BY revision", [revision], limit).jobs;
  }

  /** Jobs whose attempt is under way, as far as the record knows. */
  inFlight(): readonly Job[] {
    return this.#db.all(
      `SELECT ${JOB_COLUMNS} FROM jobs WHERE state IN ('starting', 'running') ORDER BY id`,
    ).map(parseJobRow);
  }

  /** How many jobs are in each state, by project. */
  counts(): readonly { project: ProjectName; state: JobState; count: number }[] {
    return this.#db.all("SELECT project, state, count(*) AS n FROM jobs GROUP BY project, state")
      .map((row) => ({
        project: requireProject(text(row, "project")),
        state: text(row, "state") as JobState,
        count: integer(row, "n"),
      }));
  }

  /** Sums over all attempts that ever ended; they only grow, also across restarts. */
  totals(): readonly AttemptTotals[] {
    return this.#db.all("SELECT * FROM totals").map((row) => ({
      project: text(row, "project"),
      state: text(row, "state"),
      reason: text(row, "reason"),
      attempts: integer(row, "attempts"),
      wallSeconds: integer(row, "wall_seconds"),
      cpuSeconds: integer(row, "cpu_seconds"),
      logBytes: integer(row, "log_bytes"),
    }));
  }

  /** When the oldest queued job was submitted; `undefined` if none waits. */
  oldestQueuedAt(): number | undefined {
    const row = this.#db.first("SELECT min(created_at) AS at FROM jobs WHERE state = 'queued'");
    const at = row?.["at"];
    return typeof at === "number" ? at : undefined;
  }

  queuedCount(): number {
    return this.#count("state = 'queued'");
  }

  inFlightCount(): number {
    return this.#count("state IN ('starting', 'running')");
  }

  /** For each project with queued work, the jobs that may start now, best first. */
  heads(now: number, perProject: number): readonly ProjectHeads[] {
    return this.#db.all("SELECT DISTINCT project FROM jobs WHERE state = 'queued'").map((row) => {
      const project = requireProject(text(row, "project"));
      const running = this.#db.first(
        "SELECT count(*) AS n FROM jobs WHERE project = ? AND state IN ('starting', 'running')",
        project,
      );
      const heads = this.#db.all(
        `SELECT id, rank, concurrency_group FROM jobs AS queued
         WHERE state = 'queued' AND project = ? AND not_before <= ?
           AND (concurrency_group IS NULL OR NOT EXISTS (
             SELECT 1 FROM jobs AS open
             WHERE open.project = queued.project AND open.state IN ('starting', 'running')
               AND open.concurrency_group = queued.concurrency_group))
         ORDER BY rank, id LIMIT ?`,
        project,
        now,
        perProject,
      ).map((head): QueuedHead => {
        const group = head["concurrency_group"];
        return {
          id: requireJobId(text(head, "id")),
          rank: integer(head, "rank"),
          ...(typeof group === "string" ? { group } : {}),
        };
      });
      return { project, running: integer(running ?? {}, "n"), heads };
    });
  }

  /** When the next queued job that waits for its time may start; `undefined` if none waits. */
  nextNotBefore(now: number): number | undefined {
    const row = this.#db.first(
      "SELECT min(not_before) AS at FROM jobs WHERE state = 'queued' AND not_before > ?",
      now,
    );
    const at = row?.["at"];
    return typeof at === "number" ? at : undefined;
  }

  /** How many queued jobs of the project start before this one. */
  position(job: Job): number {
    const row = this.#db.first(
      "SELECT count(*) AS n FROM jobs WHERE state = 'queued' AND project = ? AND (rank, id) < (?, ?)",
      job.spec.project,
      rankOf(job, this.#options.ageingMs),
      job.id,
    );
    return integer(row ?? {}, "n");
  }

  intakeModes(): ReadonlyMap<string, IntakeMode> {
    return new Map(
      this.#db.all("SELECT project, mode FROM intake").map((row) => [
        text(row, "project"),
        parseMode(text(row, "mode")),
      ]),
    );
  }

  setIntakeMode(project: ProjectName | typeof ALL_PROJECTS, mode: IntakeMode): void {
    if (mode === "open") this.#db.run("DELETE FROM intake WHERE project = ?", project);
    else {
      this.#db.run(
        "INSERT INTO intake (project, mode) VALUES (?, ?) ON CONFLICT DO UPDATE SET mode = excluded.mode",
        project,
        mode,
      );
    }
  }

  /** Ended jobs, the oldest end first: what retention chooses from. */
  ended(): readonly EndedJob[] {
    return this.#db.all(
      `SELECT id, project, finished_at, (
         SELECT coalesce(sum(json_extract(outcome, '$.logBytes')), 0) FROM attempts WHERE job_id = id
       ) AS log_bytes
       FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at, id`,
    ).map((row) => ({
      id: requireJobId(text(row, "id")),
      project: requireProject(text(row, "project")),
      finishedAt: integer(row, "finished_at"),
      logBytes: integer(row, "log_bytes"),
    }));
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

  /** A job may hold megabytes of script, so a page is bounded by its bytes too. */
  #page(tail: string, values: readonly SqlValue[], limit: number): JobPage {
    const sizes = this.#db.all(
      `SELECT octet_length(spec) AS size FROM jobs ${tail} LIMIT ?`,
      ...values,
      limit + 1,
    );
    let count = 0;
    let bytes = 0;
    for (const row of sizes.slice(0, limit)) {
      bytes += integer(row, "size");
      if (count > 0 && bytes > PAGE_MAX_BYTES) break;
      count++;
    }
    const jobs = this.#db.all(`SELECT ${JOB_COLUMNS} FROM jobs ${tail} LIMIT ?`, ...values, count)
      .map(parseJobRow);
    return { jobs, more: sizes.length > count };
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

function placesFor(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}

function requireJobId(value: string): JobId {
  const id = parseJobId(value);
  if (id === undefined) {
    throw new CicdError("store_corrupt", `Cannot read a row of the database: id "${value}"`);
  }
  return id;
}

function requireProject(value: string): ProjectName {
  const project = parseProjectName(value);
  if (project === undefined) {
    throw new CicdError("store_corrupt", `Cannot read a row of the database: project "${value}"`);
  }
  return project;
}

function parseMode(value: string): IntakeMode {
  return value === "paused" || value === "draining" ? value : "open";
}
