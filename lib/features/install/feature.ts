/**
 * This installation: its units, configuration and problems.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** This installation. */
export const installFeature: Feature = {
  name: "install",
  commands: () => import("@lib/features/install/commands.ts"),
};
