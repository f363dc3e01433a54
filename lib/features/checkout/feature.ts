/**
 * Checkout: the repository of a job in its workspace.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";

/** Checkout. */
export const checkoutFeature: Feature = {
  name: "checkout",
  agent: () => import("@lib/features/checkout/agent.ts"),
};
