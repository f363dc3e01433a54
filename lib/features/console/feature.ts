/**
 * The link to a fleet console.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { CONSOLE_ALLOW } from "@lib/features/console/allow_keys.ts";
import { CONSOLE } from "@lib/features/console/keys.ts";

/** The link to a fleet console. */
export const consoleFeature: Feature = {
  name: "console",
  sections: [CONSOLE, CONSOLE_ALLOW],
  runner: () => import("@lib/features/console/runner.ts"),
};
