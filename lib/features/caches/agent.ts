/**
 * The agent's part of caches.
 *
 * @module
 */
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { CACHES } from "@lib/features/caches/keys.ts";
import { lazyStep } from "@lib/spine/jobs/step.ts";
import type { AgentPart, AgentServices } from "@lib/api/feature.ts";

/** Returns the part. */
export function part({ config, env, clock, helperRunner }: AgentServices): AgentPart {
  return {
    steps: [
      lazyStep({
        name: "caches",
        doing: "restoring or saving caches",
        needed: ({ caches = [] }) => caches.length > 0,
        does: "both",
        async load() {
          const { cacheStep } = await import("@lib/features/caches/cache_step.ts");
          const run = await helperRunner();
          const { stateDir } = config().of(PROGRAM);
          return cacheStep({ stateDir, limits: () => config().of(CACHES), run, env, clock });
        },
      }),
    ],
  };
}
