/**
 * Containers: jobs in images, run by Docker or Podman.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { CONTAINERS } from "@lib/features/containers/keys.ts";

/** Containers. */
export const containersFeature: Feature = {
  name: "containers",
  sections: [CONTAINERS],
  agent: () => import("@lib/features/containers/agent.ts"),
};
