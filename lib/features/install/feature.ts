/**
 * This installation: units, configuration, and what is wrong with it.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** This installation. */
export const installFeature: Feature = {
  name: "install",
  commands: () => import("@lib/features/install/commands.ts"),
};
