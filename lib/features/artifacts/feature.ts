/**
 * Artifacts: files of a workspace that are kept after the job.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { ARTIFACTS } from "@lib/features/artifacts/keys.ts";

/** Artifacts. */
export const artifactsFeature: Feature = {
  name: "artifacts",
  sections: [ARTIFACTS],
  runner: () => import("@lib/features/artifacts/runner.ts"),
  agent: () => import("@lib/features/artifacts/agent.ts"),
  commands: () => import("@lib/features/artifacts/commands.ts"),
};
