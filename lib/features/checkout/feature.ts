/**
 * Checkout: the repository of a job in its workspace.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { GIT } from "@lib/features/checkout/keys.ts";

/** Checkout. */
export const checkoutFeature: Feature = {
  name: "checkout",
  sections: [GIT],
  agent: () => import("@lib/features/checkout/agent.ts"),
};
