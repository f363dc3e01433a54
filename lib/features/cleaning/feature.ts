/**
 * Cleaning: removes what jobs leave on the machine.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** Cleaning. */
export const cleaningFeature: Feature = {
  name: "cleaning",
  runner: () => import("@lib/features/cleaning/runner.ts"),
};
