/**
 * Checks out the repository of a job into its workspace.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { GIT, MIRRORS } from "@lib/features/checkout/keys.ts";

/** Checkout. */
export const checkoutFeature: Feature = {
  name: "checkout",
  sections: [GIT, MIRRORS],
  agent: () => import("@lib/features/checkout/agent.ts"),
  cleaning: () => import("@lib/features/checkout/cleaning.ts"),
};
