/**
 * The limits of everything that a project runs.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { limitProperties, type ResourceLimits } from "@lib/foundations/systemd/resource_limits.ts";
import { agentServiceName, projectSliceName } from "@lib/foundations/systemd/unit_name.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";

/** Updates a project's slice: now, which is before anything is started in it, and after each daemon-reload. */
export async function keepSliceLimits(
  manager: UnitManager,
  { project, log }: { readonly project: ProjectName; readonly log: Logger },
  signal: AbortSignal,
): Promise<void> {
  manager.onReloaded(() => {
    void copyAgentLimits(manager, project, signal).catch((error: unknown) => {
      if (!signal.aborted) log.error("Cannot copy the agent's limits to the slice", { error });
    });
  });
  await copyAgentLimits(manager, project, signal);
}

/**
 * Copies the limits of the agent's unit to the project's slice, if they differ.
 *
 * So `systemctl --user edit cicd-agent@PROJECT` limits the project as a whole. Limits set on the
 * slice by hand are overwritten. An agent that is not a unit has no limits to copy.
 */
async function copyAgentLimits(
  manager: UnitManager,
  project: ProjectName,
  signal: AbortSignal,
): Promise<void> {
  const slice = projectSliceName(project);
  const [wanted, current] = await Promise.all([
    manager.readLimits(agentServiceName(project), signal),
    manager.readLimits(slice, signal),
  ]);
  if (!sameLimits(wanted, current)) {
    await manager.setRuntimeProperties(slice, limitProperties(wanted), signal);
  }
}

function sameLimits(a: ResourceLimits, b: ResourceLimits): boolean {
  return a.cpuQuota === b.cpuQuota && a.cpuWeight === b.cpuWeight &&
    a.memoryMaxBytes === b.memoryMaxBytes && a.memoryHighBytes === b.memoryHighBytes &&
    a.memorySwapMaxBytes === b.memorySwapMaxBytes && a.tasksMax === b.tasksMax &&
    a.ioWeight === b.ioWeight;
}
