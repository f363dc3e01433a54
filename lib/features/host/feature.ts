/**
 * The machine: what it is, what it does, and which jobs use it.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** The machine, its metrics, and `top`. */
export const hostFeature: Feature = {
  name: "host",
  runner: () => import("@lib/features/host/runner.ts"),
  commands: () => import("@lib/features/host/commands.ts"),
};
