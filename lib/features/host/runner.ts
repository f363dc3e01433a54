/**
 * The machine in the runner.
 *
 * Nothing here runs, or is loaded, while nobody asks.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { VERSION } from "@lib/core/version.ts";
import { durationMetrics } from "@lib/features/host/durations.ts";
import type { HostInventory } from "@lib/features/host/host_inventory.ts";
import { hostRoutes } from "@lib/features/host/host_routes.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";

export { DURATION_MIGRATIONS as migrations } from "@lib/features/host/durations.ts";

/** Variables of the process that takes the inventory. */
const PASSED = ["PATH", "HOME", "TMPDIR", "CICD_TOOLKIT_CACHE", "DENO_DIR"];

/** Makes the part of the runner. */
export function part(services: RunnerServices): RunnerPart {
  let opened: Promise<HostInventory> | undefined;
  const open = async () => {
    const { HostInventory } = await import("@lib/features/host/host_inventory.ts");
    const { runCommand } = await import("@lib/foundations/process/run_command.ts");
    const { buildHelperEnv } = await import("@lib/foundations/process/scrubbed_env.ts");
    const { readBootId } = await import("@lib/foundations/process/boot_id.ts");
    const { readIfThere, writeAtomic } = await import("@lib/foundations/files/records.ts");
    const path = `${services.config().of(PROGRAM).stateDir}/host.json`;
    return new HostInventory({
      records: {
        read: () => readIfThere(path, 64 * 1024),
        write: (text) => writeAtomic(path, text),
      },
      stamp: `${VERSION} ${readBootId()}`,
      command: services.ownCommand(),
      env: buildHelperEnv(services.env, PASSED),
      run: runCommand,
      now: () => services.clock.now(),
      log: services.log,
      stopping: services.tasks.signal,
    });
  };
  return {
    routes: hostRoutes(services, async (signal) => await (await (opened ??= open())).get(signal)),
    async metrics() {
      const { lookAtAll } = await import("@lib/features/host/host_view.ts");
      const { hostMetrics } = await import("@lib/features/host/metrics.ts");
      const { store, db, clock, configuredProjects } = services;
      const known = new Set<string>([
        ...configuredProjects(),
        ...store.counts().map(({ project }) => project),
      ]);
      return [
        ...hostMetrics(lookAtAll(services), clock.now()),
        ...durationMetrics(db, (project) => known.has(project)),
      ];
    },
  };
}
