/**
 * The runner at a glance: projects, queue, health, metrics.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** The runner at a glance. */
export const statusFeature: Feature = {
  name: "status",
  runner: () => import("@lib/features/status/runner.ts"),
  commands: () => import("@lib/features/status/commands.ts"),
};
