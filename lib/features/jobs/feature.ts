/**
 * The API of jobs: submit, list, show, follow, wait, cancel, retry.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { CLIENTS } from "@lib/features/jobs/keys.ts";

/** The API of jobs. */
export const jobsFeature: Feature = {
  name: "jobs",
  sections: [CLIENTS],
  runner: () => import("@lib/features/jobs/runner.ts"),
  commands: () => import("@lib/features/jobs/commands.ts"),
};
