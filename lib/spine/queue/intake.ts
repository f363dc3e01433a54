/**
 * Decides if a job can be accepted now.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { ValuesOf } from "@lib/foundations/config/key.ts";
import { formatSize } from "@lib/core/size.ts";
import { ALL_PROJECTS } from "@lib/spine/queue/queue_queries.ts";
import type { DISK, QUEUE } from "@lib/spine/queue/keys.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import { diskSpace } from "@lib/foundations/store/disk_space.ts";

/** Options for {@linkcode Intake}. */
export interface IntakeOptions {
  readonly store: JobStore;
  /** Called for each job, so that a reloaded configuration applies. */
  readonly limits: () =>
    & Pick<ValuesOf<typeof QUEUE.keys>, "maxQueued">
    & ValuesOf<typeof DISK.keys>;
  readonly stateDir: string;
  /** Returns why there is no room for a job at all; `undefined` if there is. */
  readonly reserveProblem: () => string | undefined;
  readonly clock: Clock;
}

/** How long a measurement of the disk, or a look at the state directory, is used. */
const DISK_CHECK_MS = 500;

/** Refuses jobs that cannot be accepted, each with its own error. */
export class Intake {
  readonly #options: IntakeOptions;
  #freeBytes = Infinity;
  #checkedAt = -Infinity;
  #stateProblem: string | undefined;
  #lookedAt = -Infinity;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** @throws {CicdError} `queue_full` */
  assertRoom(): void {
    const { maxQueued } = this.#options.limits();
    if (this.#options.store.queuedCount() < maxQueued) return;
    throw new CicdError(
      "queue_full",
      `Cannot accept the job: ${maxQueued} jobs are already queued (queue.max_queued)`,
      { retryAfterMs: 10_000 },
    );
  }

  /** @throws {CicdError} `draining` */
  assertOpen(project: ProjectName): void {
    const modes = this.#options.store.intakeModes();
    const scope = modes.get(ALL_PROJECTS) === "draining"
      ? "the runner"
      : modes.get(project) === "draining"
      ? `project "${project}"`
      : undefined;
    if (scope === undefined) return;
    throw new CicdError("draining", `Cannot accept the job: ${scope} is draining`, {
      retryAfterMs: 30_000,
    });
  }

  /** @throws {CicdError} `disk_full` */
  assertDisk(): void {
    const problem = this.diskProblem();
    if (problem === undefined) return;
    throw new CicdError("disk_full", `Cannot accept the job: ${problem}`, {
      retryAfterMs: 60_000,
    });
  }

  /** Returns why the state directory cannot be used any more; `undefined` while it can. */
  stateProblem(): string | undefined {
    const { stateDir, clock } = this.#options;
    if (clock.now() - this.#lookedAt > DISK_CHECK_MS) {
      this.#stateProblem = problemOf(stateDir);
      this.#lookedAt = clock.now();
    }
    return this.#stateProblem;
  }

  /** Returns why the disk is too full; `undefined` if it is not. */
  diskProblem(): string | undefined {
    const { stateDir, clock, limits, reserveProblem } = this.#options;
    if (clock.now() - this.#checkedAt > DISK_CHECK_MS) {
      this.#freeBytes = diskSpace(stateDir).freeBytes;
      this.#checkedAt = clock.now();
    }
    const { minFreeDiskBytes } = limits();
    return this.#freeBytes >= minFreeDiskBytes
      ? reserveProblem()
      : `the file system of "${stateDir}" has ${formatSize(this.#freeBytes)} free, at least ` +
        `${formatSize(minFreeDiskBytes)} must stay free (retention.min_free_disk); ` +
        "free space with 'cicd-runner clean'";
  }
}

function problemOf(stateDir: string): string | undefined {
  try {
    // Looks into it, not only at it.
    Deno.lstatSync(`${stateDir}/.`);
    return undefined;
  } catch (error) {
    const why = error instanceof Deno.errors.PermissionDenied
      ? "permission denied"
      : messageOf(error);
    return `the state directory "${stateDir}" cannot be used: ${why}; give it back to this ` +
      "account, with mode 0700";
  }
}
