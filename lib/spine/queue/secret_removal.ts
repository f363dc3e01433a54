/**
 * Removes the secrets of jobs that have ended for good.
 *
 * First what is kept is masked on disk (logs, names of artifacts), and so are the messages in the
 * database, which an earlier release stored as they were; then the sealed secrets leave. The ended jobs that
 * still have secrets are the whole record of what is left to do: a runner that was killed, and one
 * that takes over the jobs of an earlier release, go on with them.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import type { JobId } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";
import { integer, jobIdIn, numberOf } from "@lib/spine/queue/job_row.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** Jobs whose secrets leave the database in one transaction. */
const BATCH = 50;
/** Between a removal and the emptying of the database's log, which waits for the disk. */
const EMPTY_LOG_MS = 5_000;
/** Between two tries with what could not be masked, such as on a full disk. */
const RETRY_MS = 10 * 60_000;

/** Options for {@linkcode SecretRemoval}. */
export interface SecretRemovalOptions {
  readonly db: Database;
  readonly store: Pick<JobStore, "get" | "sealedSecrets">;
  /** Masks what is kept of an ended job on disk; returns the mask for texts about it. */
  readonly maskKept: (job: Job, signal: AbortSignal) => Promise<(text: string) => string>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Removes secrets in the background until disposed. */
export class SecretRemoval implements AsyncDisposable {
  readonly #options: SecretRemovalOptions;
  readonly #tasks: TaskGroup;
  #wake = new AbortController();
  #isBusy = false;
  /** When to empty the database's log, which may hold what was removed. */
  #emptyAt: number | undefined;
  #failures = 0;

  constructor(options: SecretRemovalOptions) {
    this.#options = options;
    this.#tasks = new TaskGroup({
      onFailure: (task, error) => options.log.error("A background task failed", { task, error }),
    });
  }

  /** True while there is something to remove. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Begins with what an earlier process left. */
  start(): void {
    this.#isBusy = true;
    this.#tasks.spawn("removal of secrets", (signal) => this.#loop(signal));
  }

  /** Reacts to a committed change of a job. */
  onChange({ state, spec }: Job): void {
    if (isTerminal(state) && spec.secretNames.length > 0) this.#rouse();
  }

  /**
   * Removes the secrets of an ended job now.
   *
   * @throws Why what is kept of it cannot be masked, or the signal's reason.
   */
  async finish(job: Job, signal: AbortSignal): Promise<void> {
    const { store, maskKept } = this.#options;
    if (!isTerminal(job.state) || store.sealedSecrets(job.id) === undefined) return;
    this.#remove([{ id: job.id, mask: await maskKept(job, signal) }]);
    this.#rouse();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
  }

  #rouse(): void {
    this.#isBusy = true;
    this.#wake.abort(new DOMException("A job with secrets has ended", "AbortError"));
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const restMs = await this.#turn(signal);
      this.#isBusy = this.#wake.signal.aborted;
      const either = AbortSignal.any([signal, this.#wake.signal]);
      await this.#options.clock.sleep(restMs, { signal: either })
        .catch(ignore("woken, or about to end"));
    }
  }

  /** Removes what can be removed now; returns the time to the next turn. */
  async #turn(signal: AbortSignal): Promise<number> {
    const { db, clock, log } = this.#options;
    try {
      if (this.#emptyAt !== undefined && clock.now() >= this.#emptyAt) {
        db.all("PRAGMA wal_checkpoint(TRUNCATE)");
        this.#emptyAt = undefined;
      }
      const failures = await this.#pass(signal);
      if (failures.length > this.#failures) {
        log.warning("Cannot mask what is kept of ended jobs; their secrets are kept", {
          jobs: failures.length,
          error: failures[0],
        });
      }
      this.#failures = failures.length;
    } catch (error) {
      signal.throwIfAborted();
      log.error("Cannot remove the secrets of ended jobs; trying again", { error });
    }
    return this.#emptyAt === undefined ? RETRY_MS : EMPTY_LOG_MS;
  }

  /** Goes through all ended jobs with secrets once; returns why some of them keep theirs. */
  async #pass(signal: AbortSignal): Promise<readonly unknown[]> {
    const { db, clock } = this.#options;
    const failures: unknown[] = [];
    let after: EndedWithSecrets | undefined;
    for (;;) {
      const batch = endedWithSecrets(db, after);
      const masked: Masked[] = [];
      for (const { id } of batch) {
        const result = await this.#mask(id, signal);
        if ("mask" in result) masked.push(result);
        else failures.push(result.error);
      }
      if (masked.length > 0) this.#remove(masked);
      after = batch.at(-1);
      if (batch.length < BATCH) return failures;
      // Lets requests in.
      await clock.sleep(1, { signal });
    }
  }

  async #mask(id: JobId, signal: AbortSignal): Promise<Masked | { readonly error: unknown }> {
    const job = this.#options.store.get(id);
    try {
      const mask = job && await this.#options.maskKept(job, signal);
      return { id, mask: mask ?? ((text) => text) };
    } catch (error) {
      signal.throwIfAborted();
      return { error };
    }
  }

  #remove(jobs: readonly Masked[]): void {
    const { db, clock } = this.#options;
    db.transaction(() => {
      for (const { id, mask } of jobs) {
        maskMessages(db, id, mask);
        db.run(
          "UPDATE jobs SET sealed_secrets = NULL WHERE id = ? AND finished_at IS NOT NULL",
          id,
        );
      }
    }, "relaxed");
    this.#emptyAt ??= clock.now() + EMPTY_LOG_MS;
  }
}

/** A job whose secrets are not needed any more. */
interface Masked {
  readonly id: JobId;
  readonly mask: (text: string) => string;
}

/** Masks the messages of a job and of its attempts. */
function maskMessages(db: Database, id: JobId, mask: Masked["mask"]): void {
  const rows = db.all(
    `SELECT -1 AS number, message FROM jobs WHERE id = ? AND finished_at IS NOT NULL UNION ALL
     SELECT number, outcome ->> '$.message' FROM attempts WHERE job_id = ?`,
    id,
    id,
  );
  for (const { number = null, message } of rows) {
    if (typeof message !== "string") continue;
    const masked = mask(message);
    if (masked === message) continue;
    if (number === -1) db.run("UPDATE jobs SET message = ? WHERE id = ?", masked, id);
    else {
      db.run(
        `UPDATE attempts SET outcome = json_set(outcome, '$.message', ?)
         WHERE job_id = ? AND number = ?`,
        masked,
        id,
        number,
      );
    }
  }
}

type EndedWithSecrets = Pick<EndedJob, "id" | "finishedAt">;

/** Returns the next ended jobs that still have secrets, oldest end first. */
function endedWithSecrets(
  db: Database,
  after: EndedWithSecrets | undefined,
): readonly EndedWithSecrets[] {
  return db.all(
    `SELECT id, finished_at FROM jobs WHERE sealed_secrets IS NOT NULL
     AND (finished_at, id) > (?, ?) ORDER BY finished_at, id LIMIT ?`,
    after?.finishedAt ?? -1,
    after?.id ?? "",
    BATCH,
  ).map((row) => ({ id: jobIdIn(row), finishedAt: integer(row, "finished_at") }));
}

/** Counts the jobs with secrets whose envelopes do not begin as those of the present key do. */
export function countForeignSecrets(db: Database, prefix: Uint8Array): number {
  return numberOf(
    db,
    `SELECT count(*) AS n FROM jobs WHERE sealed_secrets IS NOT NULL
     AND substr(sealed_secrets, 1, ?) <> ?`,
    prefix.length,
    prefix,
  ) ?? 0;
}
