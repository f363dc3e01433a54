/**
 * API keys: access to the API over a network.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** API keys. */
export const accessFeature: Feature = {
  name: "access",
  runner: () => import("@lib/features/access/runner.ts"),
  commands: () => import("@lib/features/access/commands.ts"),
};
