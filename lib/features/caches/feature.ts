/**
 * Caches: directories that are kept from job to job.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { CACHES } from "@lib/features/caches/keys.ts";

/** Caches. */
export const cachesFeature: Feature = {
  name: "caches",
  sections: [CACHES],
  agent: () => import("@lib/features/caches/agent.ts"),
  cleaning: () => import("@lib/features/caches/cleaning.ts"),
};
