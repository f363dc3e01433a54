/**
 * Labels by which the containers of jobs are found at an engine.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";

/** Labels of a container; `state` stands for the state directory, as suites may share an engine. */
const JOB_LABELS = {
  state: "cicd-toolkit.state",
  job: "cicd-toolkit.job",
  project: "cicd-toolkit.project",
  attempt: "cicd-toolkit.attempt",
} as const;

/** The label of a container that can wait for people when its job has failed. */
const HOLDABLE = "cicd-toolkit.holdable";

/** The labels of such a container besides those of its attempt. */
export const HOLDABLE_LABELS: Readonly<Record<string, string>> = { [HOLDABLE]: "1" };

/** Tells if a container can wait for people. */
export function isHoldable(labels: Readonly<Record<string, string>>): boolean {
  return labels[HOLDABLE] === "1";
}

/** The attempt of a container according to its labels; not validated. */
export interface JobLabels {
  readonly job: string;
  readonly project: string;
  /** Counts from 1. */
  readonly attempt: number;
}

function stateIdOf(stateDir: string): string {
  return createHash("sha256").update(stateDir).digest("hex").slice(0, 16);
}

/** Returns the labels of an attempt's container. */
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

/** Returns the labels of a helper's container, which cleaning removes if it remains. */
export function helperLabels(stateDir: string): Readonly<Record<string, string>> {
  return { [JOB_LABELS.state]: stateIdOf(stateDir) };
}

/** Returns the label filter for the containers of a state directory, or of one project in it. */
export function jobLabelFilter(stateDir: string, project?: string): readonly string[] {
  const state = `${JOB_LABELS.state}=${stateIdOf(stateDir)}`;
  return project === undefined ? [state] : [state, `${JOB_LABELS.project}=${project}`];
}

/** Parses the labels of a container; `undefined` if it is not a job's. */
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

/** Tells if a container's labels are those of an attempt; anybody can take its name. */
export function isContainerOf(
  labels: Readonly<Record<string, string>>,
  stateDir: string,
  { jobId: job, project, number: attempt }: AttemptRef,
): boolean {
  return Object.entries(jobLabels(stateDir, { job, project, attempt }))
    .every(([name, value]) => labels[name] === value);
}

/** Options for {@linkcode removeOrphans}. */
export interface OrphanOptions {
  readonly stateDir: string;
  readonly project: string;
  /** Tells if an attempt may still need its container. */
  readonly isWanted: (attempt: JobLabels) => boolean;
}

/**
 * Removes a project's containers that no attempt needs, running or not.
 *
 * @returns The names of the removed containers.
 */
export async function removeOrphans(
  engine: Engine,
  { stateDir, project, isWanted }: OrphanOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const removed: string[] = [];
  for (
    const container of await engine.listContainers(jobLabelFilter(stateDir, project), signal)
  ) {
    const attempt = readJobLabels(container.labels);
    if (attempt !== undefined && isWanted(attempt)) continue;
    await engine.removeContainer(container.id, signal);
    removed.push(container.names[0] ?? container.id);
  }
  return removed;
}
