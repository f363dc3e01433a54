/**
 * What a check of the VM suite is.
 *
 * @module
 */
import type { LimitRow } from "../support/vm_report.ts";
import type { JobSeen } from "./guest.ts";

/** The findings of a check. */
export interface Found {
  readonly rows: readonly LimitRow[];
  /** Why there was nothing to check. */
  readonly skipped?: string;
}

/** One thing to show. Checks run one after the other, on one installation. */
export interface Check {
  readonly name: string;
  /** Carried out whatever was chosen, as the others build on it. */
  readonly always?: true;
  /** @param tell Says what goes on. */
  readonly carryOut: (tell: (text: string) => void) => Promise<Found>;
}

/** Summarizes a job's result. */
export function verdict(job: JobSeen): string {
  const code = job.exit_code === null ? "" : ` ${job.exit_code}`;
  return `${job.state}, ${job.reason}${job.reason === "exit_code" ? code : ""}: ${job.message}`;
}
