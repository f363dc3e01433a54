/**
 * Cleaning: removes what jobs leave on the machine.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { CLEAN, RETENTION } from "@lib/features/cleaning/keys.ts";

/** Cleaning. */
export const cleaningFeature: Feature = {
  name: "cleaning",
  sections: [CLEAN, RETENTION],
  runner: () => import("@lib/features/cleaning/runner.ts"),
};
