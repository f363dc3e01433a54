/**
 * Traces of jobs, for OpenTelemetry.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { SECTIONS } from "@lib/features/traces/keys.ts";

/** Traces of jobs. */
export const tracesFeature: Feature = {
  name: "traces",
  sections: SECTIONS,
  runner: () => import("@lib/features/traces/runner.ts"),
};
