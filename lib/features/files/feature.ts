/**
 * Writes files from a job's request into its workspace.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** Files of a job. */
export const filesFeature: Feature = {
  name: "files",
  agent: () => import("@lib/features/files/agent.ts"),
};
