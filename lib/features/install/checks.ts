/**
 * The findings of `doctor`.
 *
 * @module
 */
import { counted } from "@lib/core/count.ts";

/** One finding. */
export interface Check {
  /** Stable, for scripts: such as `linger` or `unit:cicd-runner.service`. */
  readonly id: string;
  /** `skipped` says nothing about the machine. */
  readonly status: "ok" | "warning" | "problem" | "skipped";
  /** A few words: the thing that was checked. */
  readonly title: string;
  /** One sentence: the finding. */
  readonly detail: string;
  /** How to fix it: a command, or a sentence. Absent where nothing needs fixing. */
  readonly fix?: string;
}

/** Returns the possible findings of one check. */
export function checkOf(id: string, title: string) {
  return {
    /** Needs no action. */
    ok: (detail: string): Check => ({ id, status: "ok", title, detail }),
    /** The check could not, or need not, be made. */
    skipped: (detail: string): Check => ({ id, status: "skipped", title, detail }),
    /** Works, but not as well as it could, or not for long. */
    warning: (detail: string, fix: string): Check => ({
      id,
      status: "warning",
      title,
      detail,
      fix,
    }),
    /** Does not work, or is not safe. */
    problem: (detail: string, fix: string): Check => ({
      id,
      status: "problem",
      title,
      detail,
      fix,
    }),
  };
}

/** Returns the number of problems and warnings, in words. */
export function summaryOf(checks: readonly Check[]): string {
  const some = (name: "problem" | "warning") => {
    const { length } = checks.filter(({ status }) => status === name);
    return length === 0 ? [] : [counted(length, name)];
  };
  const sum = [...some("problem"), ...some("warning")];
  return sum.length === 0 ? "No problems found" : sum.join(", ");
}
