/**
 * How the containers of jobs are found again at an engine.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** What a container's labels say. */
const JOB_LABELS = {
  /** Names the state directory, so that two suites on one engine know their own. */
  state: "cicd-toolkit.state",
  job: "cicd-toolkit.job",
  project: "cicd-toolkit.project",
  /** Counts from 1. */
  attempt: "cicd-toolkit.attempt",
} as const;

/** Whose container it is, as its labels say; checked by nobody. */
export interface JobLabels {
  readonly job: string;
  readonly project: string;
  readonly attempt: number;
}

/** Names a state directory in a label. */
function stateIdOf(stateDir: string): string {
  return createHash("sha256").update(stateDir).digest("hex").slice(0, 16);
}

/** The labels of an attempt's container. */
export function jobLabels(
  stateDir: string,
  { job, project, attempt }: JobLabels,
): Readonly<Record<string, string>> {
  return {
    [JOB_LABELS.state]: stateIdOf(stateDir),
    [JOB_LABELS.job]: job,
    [JOB_LABELS.project]: project,
    [JOB_LABELS.attempt]: String(attempt),
  };
}

/**
 * What to ask an engine for, to list the containers of a state directory, or of one project in it.
 */
export function jobLabelFilter(stateDir: string, project?: string): readonly string[] {
  const state = `${JOB_LABELS.state}=${stateIdOf(stateDir)}`;
  return project === undefined ? [state] : [state, `${JOB_LABELS.project}=${project}`];
}

/** Reads the labels of a container; `undefined` if it is none of a job. */
export function readJobLabels(
  labels: Readonly<Record<string, string>>,
): JobLabels | undefined {
  const job = labels[JOB_LABELS.job];
  const project = labels[JOB_LABELS.project];
  const attempt = labels[JOB_LABELS.attempt] ?? "";
  return job === undefined || project === undefined || !/^[1-9]\d{0,8}$/.test(attempt)
    ? undefined
    : { job, project, attempt: Number(attempt) };
}
