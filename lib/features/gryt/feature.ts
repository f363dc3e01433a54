/**
 * The Gryt-compatible API, a view of the queue.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { GRYT } from "@lib/features/gryt/keys.ts";

/** The Gryt-compatible API. */
export const grytFeature: Feature = {
  name: "gryt",
  sections: [GRYT],
  runner: () => import("@lib/features/gryt/runner.ts"),
};
