/**
 * Leases: jobs that are cancelled once their clients have gone.
 *
 * A lease is a row, stored with its job, so that it outlives a runner that is killed. It is valid
 * for the attempts since the last retry on request. A client holds it by an open answer; while
 * nobody does, its patience runs, but only in a runner that accepts connections: a restart, however
 * long, cancels nothing.
 *
 * @module
 */
import * as v from "valibot";
import { type Caller, hasScope, shownCaller } from "@lib/core/caller.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { CicdError } from "@lib/core/errors.ts";
import { type JobId, parseJobId } from "@lib/core/ids.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { CLIENTS } from "@lib/features/jobs/keys.ts";
import type { Migration } from "@lib/foundations/store/database.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";

/** The table of leases; append migrations, never edit a shipped one. */
export const LEASE_MIGRATIONS: readonly Migration[] = [
  `
CREATE TABLE client_leases (
  job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  retry_base INTEGER NOT NULL,
  granted TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`,
];

/** The effect on the job when the client of an answer disconnects, in a query. */
export const onDisconnect = v.optional(
  v.picklist(["cancel", "continue"], 'must be "cancel" or "continue"'),
);

type LeasePorts = Pick<
  RunnerServices,
  "db" | "store" | "events" | "clock" | "log" | "config" | "tasks" | "stopping"
>;

/** A lease of an open job. */
interface Lease {
  holders: number;
  /** For people: who asked for it, as `by key CI (0f…)`. */
  readonly granted: string;
  /** Ends the patience. */
  back: AbortController;
}

/** The leases of open jobs. */
export class ClientLeases implements Disposable {
  readonly #ports: LeasePorts;
  readonly #leases = new Map<JobId, Lease>();
  /** Forgets the leases of jobs that end; only while there are leases. */
  #listening: Disposable | undefined;

  constructor(ports: LeasePorts) {
    this.#ports = ports;
  }

  /** Takes up the leases of an earlier runner; each has the whole patience. */
  start(): void {
    const rows = this.#ports.db.all(
      `SELECT job_id, granted FROM client_leases JOIN jobs ON jobs.id = job_id
       WHERE state IN ('queued', 'starting', 'running')
       AND jobs.retry_base = client_leases.retry_base`,
    );
    for (const { job_id, granted } of rows) {
      const id = parseJobId(String(job_id));
      // A client may have been quicker.
      if (id !== undefined && !this.#leases.has(id)) this.#begin(id, String(granted));
    }
  }

  /**
   * Stores a lease, in the transaction that stores the job or before the job is queued again.
   *
   * @param options.retryBase As the job will have it.
   */
  grant(id: JobId, { by, retryBase }: { readonly by: Caller; readonly retryBase: number }): void {
    this.#ports.db.run(
      "INSERT OR REPLACE INTO client_leases (job_id, retry_base, granted) VALUES (?, ?, ?)",
      id,
      retryBase,
      shownCaller(by),
    );
  }

  /** Removes the row of an ended job, so that its next attempts have no lease. */
  revoke(id: JobId): void {
    this.#ports.db.run("DELETE FROM client_leases WHERE job_id = ?", id);
  }

  /**
   * Gives an open job a lease unless it has one; the patience runs until a client holds it.
   *
   * @throws {CicdError} `forbidden` if the caller may not cancel jobs.
   */
  take({ id }: Pick<Job, "id">, by: Caller): void {
    this.assertMayTake(by);
    if (this.#leases.has(id)) return;
    // The caller may have waited since it got the job.
    const job = this.#ports.store.get(id);
    if (job === undefined || isTerminal(job.state)) return;
    const { retryBase } = job;
    const row = this.#ports.db.first(
      "SELECT granted FROM client_leases WHERE job_id = ? AND retry_base = ?",
      job.id,
      retryBase,
    );
    if (row === undefined) this.grant(job.id, { by, retryBase });
    this.#begin(job.id, String(row?.["granted"] ?? shownCaller(by)));
  }

  /** @throws {CicdError} `forbidden` if the caller may not cancel jobs. */
  assertMayTake(by: Caller): void {
    if (hasScope(by, "submit")) return;
    throw new CicdError(
      "forbidden",
      'Cannot use "on_disconnect=cancel" with this key: to cancel a job requires submit',
    );
  }

  /** Holds the lease of a job, if it has one, until it is disposed. */
  hold(id: JobId): Disposable {
    const lease = this.#leases.get(id);
    if (lease === undefined) return { [Symbol.dispose]() {} };
    lease.holders++;
    lease.back.abort(HELD);
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        lease.holders--;
        if (lease.holders === 0 && this.#leases.get(id) === lease) this.#wait(id, lease);
      },
    };
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#leases.keys()]) this.#forget(id);
  }

  #begin(id: JobId, granted: string): void {
    const lease = { holders: 0, granted, back: new AbortController() };
    this.#leases.set(id, lease);
    this.#listening ??= this.#ports.events.listen((job) => {
      if (isTerminal(job.state)) this.#forget(job.id);
    });
    this.#wait(id, lease);
  }

  #forget(id: JobId): void {
    this.#leases.get(id)?.back.abort(HELD);
    this.#leases.delete(id);
    if (this.#leases.size > 0) return;
    this.#listening?.[Symbol.dispose]();
    this.#listening = undefined;
  }

  /** Cancels the job after the patience, unless a client comes back or the runner stops. */
  #wait(id: JobId, lease: Lease): void {
    const { tasks, stopping, clock, config, log } = this.#ports;
    const back = new AbortController();
    lease.back = back;
    tasks.spawn("lease of a job", async (signal) => {
      const over = AbortSignal.any([signal, stopping, back.signal]);
      while (!over.aborted) {
        const { patienceMs } = config().of(CLIENTS);
        try {
          await clock.sleep(patienceMs, { signal: over });
          return this.#cancel(id, lease, patienceMs);
        } catch (error) {
          if (over.aborted) return;
          log.warning("Cannot cancel a job whose client has gone; trying again", {
            jobId: id,
            error,
          });
        }
      }
    });
  }

  #cancel(id: JobId, { granted }: Lease, patienceMs: number): void {
    const { store, clock, log } = this.#ports;
    const gone = formatDuration(patienceMs);
    const by = `as its client has been gone for ${gone} (on_disconnect=cancel, ${granted})`;
    log.info("The client of a job has gone; cancelling the job", { jobId: id });
    const cancel = { reason: "cancelled", by } as const;
    store.apply(id, { kind: "cancel_requested", cancel, at: clock.now() });
  }
}

const HELD = new DOMException("The patience has ended", "AbortError");
