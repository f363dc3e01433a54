/**
 * Cleaning: removes what jobs leave on the machine.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { RETENTION } from "@lib/features/cleaning/keys.ts";

/** Cleaning. */
export const cleaningFeature: Feature = {
  name: "cleaning",
  sections: [RETENTION],
  runner: () => import("@lib/features/cleaning/runner.ts"),
  commands: () => import("@lib/features/cleaning/commands.ts"),
};
