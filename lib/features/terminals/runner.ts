/**
 * The runner's part of terminals: it admits clients and passes on what they and the agent say.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { terminalRoutes, terminalSockets } from "@lib/features/terminals/routes.ts";

/** Makes the part of the runner. */
export function part(services: RunnerServices): RunnerPart {
  return {
    routes: terminalRoutes(services),
    sockets: terminalSockets(services),
    async terminalOpener() {
      const { terminalOpener } = await import("@lib/features/terminals/owned_terminal.ts");
      return terminalOpener(services);
    },
  };
}
