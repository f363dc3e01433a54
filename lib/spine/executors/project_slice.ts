/**
 * A project's slice: the agent's own limits, put on everything it runs.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import type { ProjectUse } from "@lib/spine/jobs/executor.ts";
import { limitProperties, type ResourceLimits } from "@lib/foundations/systemd/resource_limits.ts";
import { agentServiceName, projectSliceName } from "@lib/foundations/systemd/unit_name.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";

/**
 * Copies the limits of the agent's unit onto the project's slice, if they differ.
 *
 * So `systemctl --user edit cicd-agent@PROJECT` limits the project as a whole;
 * what was set on the slice by hand is overwritten. An agent that was not
 * started as a unit has no limits to copy.
 *
 * @returns The limits the slice is under.
 */
export async function copyAgentLimits(
  manager: UnitManager,
  project: ProjectName,
  signal: AbortSignal,
): Promise<ResourceLimits> {
  const slice = projectSliceName(project);
  const [wanted, current] = await Promise.all([
    manager.readLimits(agentServiceName(project), signal),
    manager.readLimits(slice, signal),
  ]);
  if (!sameLimits(wanted, current)) {
    await manager.setRuntimeProperties(slice, limitProperties(wanted), signal);
  }
  return wanted;
}

/** The limits a project's slice is under, and what everything in it uses. */
export async function describeSlice(
  manager: UnitManager,
  project: ProjectName,
  signal: AbortSignal,
): Promise<ProjectUse> {
  const slice = projectSliceName(project);
  const [{ cpuQuota, memoryMaxBytes, tasksMax }, usage] = await Promise.all([
    manager.readLimits(slice, signal),
    manager.readUsage(slice, signal),
  ]);
  return {
    limits: {
      ...(cpuQuota === undefined ? {} : { cpu: cpuQuota }),
      ...(memoryMaxBytes === undefined ? {} : { memoryBytes: memoryMaxBytes }),
      ...(tasksMax === undefined ? {} : { tasks: tasksMax }),
    },
    usage,
  };
}

function sameLimits(a: ResourceLimits, b: ResourceLimits): boolean {
  return a.cpuQuota === b.cpuQuota && a.cpuWeight === b.cpuWeight &&
    a.memoryMaxBytes === b.memoryMaxBytes && a.memoryHighBytes === b.memoryHighBytes &&
    a.memorySwapMaxBytes === b.memorySwapMaxBytes && a.tasksMax === b.tasksMax &&
    a.ioWeight === b.ioWeight;
}
