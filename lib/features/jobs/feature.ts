/**
 * The API of jobs: submit, list, show, follow, wait, cancel, retry.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** The API of jobs. */
export const jobsFeature: Feature = {
  name: "jobs",
  runner: () => import("@lib/features/jobs/runner.ts"),
  commands: () => import("@lib/features/jobs/commands.ts"),
};
