/**
 * Holds: the place of a failed job, kept for people.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** Holds. */
export const holdsFeature: Feature = {
  name: "holds",
  runner: () => import("@lib/features/holds/runner.ts"),
  commands: () => import("@lib/features/holds/commands.ts"),
};
