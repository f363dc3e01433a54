/**
 * The part of the runner: cleaning: removes what jobs leave on the machine.
 *
 * @module
 */
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { RETENTION } from "@lib/features/cleaning/keys.ts";
import { DISK } from "@lib/spine/queue/keys.ts";
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import type { Housekeeper } from "@lib/features/cleaning/housekeeper.ts";
import { housekeepingRoutes } from "@lib/features/cleaning/housekeeping_routes.ts";
import { retentionRoutes } from "@lib/features/cleaning/retention_routes.ts";
import { runSweeps } from "@lib/features/cleaning/sweep.ts";

/** Makes the part. */
export function part(services: RunnerServices): RunnerPart {
  const { store, config, env, clock, log, tasks } = services;
  let housekeeper: Housekeeper | undefined;
  const sweep = {
    store,
    stateDir: config().of(PROGRAM).stateDir,
    limits: () => ({ ...config().of(RETENTION), ...config().of(DISK) }),
    clock,
    log,
  };
  const clean = async (options: { readonly dryRun: boolean }, signal: AbortSignal) => {
    // Of use once a day.
    const { makeHousekeeper } = await import("@lib/features/cleaning/make_housekeeper.ts");
    housekeeper ??= makeHousekeeper({ store, config, env, clock, log });
    return await housekeeper.clean(options, signal);
  };
  return {
    routes: [...retentionRoutes({ sweep }), ...housekeepingRoutes({ clean })],
    start: () => tasks.spawn("retention", (signal) => runSweeps(sweep, signal)),
  };
}
