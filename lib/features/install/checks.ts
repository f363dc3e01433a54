/**
 * What `doctor` reports.
 *
 * @module
 */

/** How a check came out; `skipped` says nothing about the machine. */
export type CheckStatus = "ok" | "warning" | "problem" | "skipped";

/** One finding. */
export interface Check {
  /** Stable, for scripts: such as `linger` or `unit:cicd-runner.service`. */
  readonly id: string;
  readonly status: CheckStatus;
  /** A few words: what was looked at. */
  readonly title: string;
  /** One sentence: what was found. */
  readonly detail: string;
  /** What to do about it: a command, or a sentence. Absent where nothing is to be done. */
  readonly fix?: string;
}

/** All findings. */
export interface DoctorReport {
  /** The gravest status of all checks. */
  readonly status: "ok" | "warning" | "problem";
  readonly checks: readonly Check[];
}

/** A finding that needs no action. */
export function fine(id: string, title: string, detail: string): Check {
  return { id, status: "ok", title, detail };
}

/** A check that could not, or need not, be made. */
export function skipped(id: string, title: string, detail: string): Check {
  return { id, status: "skipped", title, detail };
}

/** Something that works, but not as well as it could, or not for long. */
export function warning(id: string, title: string, detail: string, fix: string): Check {
  return { id, status: "warning", title, detail, fix };
}

/** Something that does not work or is not safe. */
export function problem(id: string, title: string, detail: string, fix: string): Check {
  return { id, status: "problem", title, detail, fix };
}

/** Sums up the findings. */
export function doctorReport(checks: readonly Check[]): DoctorReport {
  const has = (status: CheckStatus) => checks.some((check) => check.status === status);
  return { status: has("problem") ? "problem" : has("warning") ? "warning" : "ok", checks };
}
