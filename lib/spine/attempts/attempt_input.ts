/**
 * The order to run an attempt, and the recorder of its log.
 *
 * @module
 */
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** The order to run one attempt. */
export interface AttemptInput {
  readonly spec: JobSpec;
  /** Values by name; `null` if they cannot be unsealed, so that the attempt can only be joined. */
  readonly secrets: Readonly<Record<string, string>> | null;
  /**
   * The boot of the machine in which the attempt was claimed. In a later boot no process of it is
   * alive, and its files may be lost although it ran: it is never started then.
   */
  readonly bootId: string;
  /**
   * An agent answered for the attempt before. If its directory is damaged now, it may have begun,
   * and is never started again. Absent from an older runner.
   */
  readonly accepted?: boolean | undefined;
  /** Of the runner's configuration; absent from an older runner. */
  readonly configStamp?: string | undefined;
}

/** Records when the bytes of a growing log arrive. */
export interface LogRecorder {
  /** Catches up to the end, stops, and returns the size of the log over all streams. */
  finish(): Promise<Pick<AttemptOutcome, "logBytes" | "logDroppedBytes">>;
}
