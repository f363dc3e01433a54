/**
 * Files of a job, written into its workspace.
 *
 * @module
 */
import { lazyStep } from "@lib/spine/jobs/step.ts";
import type { Feature } from "@lib/api/feature.ts";

/** Files. */
export const filesFeature: Feature = {
  name: "files",
  agent: () => ({
    steps: [
      lazyStep({
        name: "files",
        needed: ({ files = [] }) => files.length > 0,
        does: "before",
        load: async () => (await import("@lib/features/files/files_step.ts")).filesStep(),
      }),
    ],
  }),
};
