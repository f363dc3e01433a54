/**
 * The route of the machine.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { toRfc3339 } from "@lib/core/clock.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { type AnyRoute, flag, route } from "@lib/api/route.ts";
import { hostSchema } from "@lib/features/host/answers.ts";
import type { Inventory } from "@lib/foundations/host/inventory.ts";
import type { FoundPlatform } from "@lib/foundations/host/platform.ts";

/** How long a request waits for the inventory, which takes some seconds once per boot. */
const INVENTORY_PATIENCE_MS = 5_000;

/** The parts of the runner that the route needs. */
export type HostPorts = Pick<
  RunnerServices,
  "store" | "config" | "configuredProjects" | "statesKnown" | "clock" | "env"
>;

/** The route of the machine. */
export function hostRoutes(
  ports: HostPorts,
  inventory: (signal: AbortSignal) => Promise<Inventory | undefined>,
): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/host",
      access: { scope: "read" },
      summary: "Show the machine, and what runner, agents, projects and jobs use of it",
      description:
        "Read from the kernel at the moment of the request. Times are sums: take two samples and " +
        "divide the difference by that of `at`. With `sample`, inventory and platform are left out. At most " +
        "100 projects and 256 jobs are measured.",
      query: { sample: flag },
      answers: { 200: { description: "The machine", schema: hostSchema } },
      handle: async ({ query, signal }, reply) => {
        await ports.statesKnown(signal);
        const inventoried = query.sample === true ? undefined : await patiently(inventory, signal);
        const { lookAtAll } = await import("@lib/features/host/host_view.ts");
        const { toHostAnswer } = await import("@lib/features/host/host_answer.ts");
        const platform = query.sample === true ? undefined : await platformOf(ports.env);
        const at = toRfc3339(ports.clock.now());
        return reply.json(200, {
          at,
          ...toHostAnswer(lookAtAll(ports), { inventory: inventoried, platform }),
        });
      },
    }),
  ];
}

async function platformOf(env: HostPorts["env"]): Promise<FoundPlatform> {
  const { detectPlatform } = await import("@lib/foundations/host/platform.ts");
  const { machineFiles } = await import("@lib/foundations/host/machine_files.ts");
  return detectPlatform(env, machineFiles);
}

async function patiently<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  using deadline = withDeadline(signal, INVENTORY_PATIENCE_MS, "the inventory of the machine");
  return await ask(deadline);
}
