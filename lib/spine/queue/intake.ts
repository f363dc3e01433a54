/**
 * Whether a job may be taken now.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { ValuesOf } from "@lib/foundations/config/key.ts";
import { formatSize } from "@lib/core/size.ts";
import { ALL_PROJECTS } from "@lib/spine/queue/intake_modes.ts";
import type { DISK, QUEUE } from "@lib/spine/queue/keys.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import { diskSpace } from "@lib/foundations/store/disk_space.ts";

/** Options for {@linkcode Intake}. */
export interface IntakeOptions {
  readonly store: JobStore;
  /** Read anew for each job, so that a reloaded configuration holds. */
  readonly limits: () =>
    & Pick<ValuesOf<typeof QUEUE.keys>, "maxQueued">
    & ValuesOf<typeof DISK.keys>;
  readonly stateDir: string;
  readonly clock: Clock;
}

/** How long a look at the disk holds good. */
const DISK_LOOK_MS = 500;

/** Refuses jobs that cannot be taken, each with its own error. */
export class Intake {
  readonly #options: IntakeOptions;
  #freeBytes = Infinity;
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
      `Cannot accept the job: ${maxQueued} jobs are queued already (queue.max_queued)`,
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

  /** What is wrong with the disk; `undefined` if nothing is. */
  diskProblem(): string | undefined {
    const { stateDir, clock, limits } = this.#options;
    if (clock.now() - this.#lookedAt > DISK_LOOK_MS) {
      this.#freeBytes = diskSpace(stateDir).freeBytes;
      this.#lookedAt = clock.now();
    }
    const { minFreeDiskBytes } = limits();
    return this.#freeBytes >= minFreeDiskBytes
      ? undefined
      : `${formatSize(this.#freeBytes)} are free where "${stateDir}" lies, at least ` +
        `${formatSize(minFreeDiskBytes)} are kept free (retention.min_free_disk); ` +
        "make room with 'cicd-runner clean'";
  }
}
