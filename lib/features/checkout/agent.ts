/**
 * Checkout in the agent.
 *
 * @module
 */
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { GIT } from "@lib/features/checkout/keys.ts";
import { lazyStep } from "@lib/spine/jobs/step.ts";
import type { AgentPart, AgentServices } from "@lib/api/feature.ts";

/** Makes the part. */
export function part({ config, env, clock, helperRunner }: AgentServices): AgentPart {
  return {
    steps: [
      lazyStep({
        name: "checkout",
        doing: "checking out the repository",
        needed: ({ git }) => git !== undefined,
        does: "before",
        async load() {
          const { createCheckoutStep } = await import("@lib/features/checkout/checkout_step.ts");
          const { stateDir, runtimeDir } = config().of(PROGRAM);
          return createCheckoutStep({
            stateDir,
            config: config().of(GIT),
            own: env,
            runCommand: await helperRunner(),
            clock,
            runtimeDir,
          });
        },
      }),
    ],
  };
}
