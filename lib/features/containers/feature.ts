/**
 * The containers feature: jobs run in images by Docker or Podman.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { CONTAINERS, IMAGES } from "@lib/features/containers/keys.ts";

/** Containers. */
export const containersFeature: Feature = {
  name: "containers",
  sections: [CONTAINERS, IMAGES],
  agent: () => import("@lib/features/containers/agent.ts"),
  cleaning: () => import("@lib/features/containers/cleaning.ts"),
};
