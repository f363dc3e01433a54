/**
 * The part of the runner: the Gryt-compatible API, as a view of the queue.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { Gryt } from "@lib/features/gryt/gryt.ts";
import { grytMetrics } from "@lib/features/gryt/metrics.ts";
import { isGrytPath, noSuchPath, wrongMethod } from "@lib/features/gryt/problems.ts";
import { grytLogSocket, grytRoutes } from "@lib/features/gryt/routes.ts";
export { GRYT_MIGRATIONS as migrations } from "@lib/features/gryt/tables.ts";

/** Makes the part. */
export function part(services: RunnerServices): RunnerPart {
  const gryt = new Gryt(services);
  return {
    routes: grytRoutes(services, gryt.service),
    sockets: [grytLogSocket(services, gryt.service)],
    foreignPaths: { owns: isGrytPath, notFound: noSuchPath, methodNotAllowed: wrongMethod },
    metrics: () => grytMetrics(gryt.figures()),
    start: () => gryt.start(),
    reconfigured: () => gryt.reconfigured(),
    hasWork: () => gryt.hasWork(),
    answered: (signal) => gryt.answered(signal),
    [Symbol.dispose]: () => gryt[Symbol.dispose](),
  };
}
