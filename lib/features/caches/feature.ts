/**
 * Caches: directories that are carried from job to job.
 *
 * @module
 */
import { lazyStep } from "@lib/spine/jobs/step.ts";
import type { Feature } from "@lib/api/feature.ts";

/** Caches. */
export const cachesFeature: Feature = {
  name: "caches",
  agent: ({ config, env, clock, helperRunner }) => ({
    steps: [
      lazyStep({
        name: "caches",
        needed: ({ caches = [] }) => caches.length > 0,
        does: "both",
        async load() {
          const { cacheStep } = await import("@lib/features/caches/cache_step.ts");
          const run = await helperRunner();
          const { stateDir } = config();
          return cacheStep({ stateDir, limits: () => config().caches, run, env, clock });
        },
      }),
    ],
  }),
};
