/**
 * Terminals: a person's shell on the worker of a project.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { TERMINALS } from "@lib/features/terminals/keys.ts";

/** Terminals. */
export const terminalsFeature: Feature = {
  name: "terminals",
  sections: [TERMINALS],
  runner: () => import("@lib/features/terminals/runner.ts"),
  agent: () => import("@lib/features/terminals/agent.ts"),
  commands: () => import("@lib/features/terminals/commands.ts"),
};
