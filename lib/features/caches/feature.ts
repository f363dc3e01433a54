/**
 * Caches: directories that are carried from job to job.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** Caches. */
export const cachesFeature: Feature = {
  name: "caches",
  agent: () => import("@lib/features/caches/agent.ts"),
};
