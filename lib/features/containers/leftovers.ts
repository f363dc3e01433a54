/**
 * Removes what containers an earlier life has left at the engine.
 *
 * @module
 */
import type { Engine } from "@lib/foundations/docker/engine.ts";
import type { ContainerSummary } from "@lib/foundations/docker/engine_types.ts";
import {
  jobLabelFilter,
  type JobLabels,
  readJobLabels,
} from "@lib/foundations/docker/job_labels.ts";

/** Whose containers are looked at. */
export interface LeftoverOptions {
  readonly stateDir: string;
  /** Absent: of all projects of the state directory. */
  readonly project?: string;
  /**
   * Whether an attempt may still need its container: its directory is there, without an outcome.
   */
  readonly isWanted: (attempt: JobLabels) => boolean;
}

/** A container that no attempt wants any more. */
export interface Leftover extends ContainerSummary {
  readonly attempt: JobLabels | undefined;
}

/**
 * Lists the containers of a state directory that no attempt wants; those of others are not seen.
 */
async function findLeftovers(
  engine: Engine,
  { stateDir, project, isWanted }: LeftoverOptions,
  signal: AbortSignal,
): Promise<readonly Leftover[]> {
  const all = await engine.listContainers(jobLabelFilter(stateDir, project), signal);
  return all.map((container) => ({ ...container, attempt: readJobLabels(container.labels) }))
    .filter(({ attempt }) => attempt === undefined || !isWanted(attempt));
}

/**
 * Removes them, alive or not.
 *
 * @returns What was removed.
 */
export async function removeLeftovers(
  engine: Engine,
  options: LeftoverOptions,
  signal: AbortSignal,
): Promise<readonly Leftover[]> {
  const leftovers = await findLeftovers(engine, options, signal);
  for (const { id } of leftovers) await engine.removeContainer(id, signal);
  return leftovers;
}
