/**
 * Containers: jobs in images, run by Docker or Podman.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** Containers. */
export const containersFeature: Feature = {
  name: "containers",
  agent: () => import("@lib/features/containers/agent.ts"),
};
