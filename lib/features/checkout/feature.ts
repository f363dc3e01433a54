/**
 * Checkout: the repository of a job in its workspace.
 *
 * @module
 */
import { lazyStep } from "@lib/spine/jobs/step.ts";
import type { Feature } from "@lib/api/feature.ts";

/** Checkout. */
export const checkoutFeature: Feature = {
  name: "checkout",
  agent: ({ config, env, clock, helperRunner }) => ({
    steps: [
      lazyStep({
        name: "checkout",
        needed: ({ git }) => git !== undefined,
        does: "before",
        async load() {
          const { createCheckoutStep } = await import("@lib/features/checkout/checkout_step.ts");
          const { stateDir, runtimeDir, git } = config();
          return createCheckoutStep({
            stateDir,
            config: git,
            own: env,
            runCommand: await helperRunner(),
            clock,
            runtimeDir,
          });
        },
      }),
    ],
  }),
};
