/**
 * The agent's part of caches.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { CACHES } from "@lib/features/caches/keys.ts";
import type { ReadyCopies } from "@lib/features/caches/ready_copies.ts";
import { DISK } from "@lib/spine/queue/keys.ts";
import { type AttemptStep, lazyStep } from "@lib/spine/jobs/step.ts";
import type { AgentPart, AgentServices } from "@lib/api/feature.ts";

/** Returns the part. */
export function part(services: AgentServices): AgentPart {
  const { config, env, clock, log, project, helperRunner } = services;
  const loaded = Promise.withResolvers<ReadyCopies>();
  const make = async () => {
    const { cacheStep } = await import("@lib/features/caches/cache_step.ts");
    const { ReadyCopies } = await import("@lib/features/caches/ready_copies.ts");
    const { stateDir } = config().of(PROGRAM);
    const tools = { stateDir, limits: () => config().of(CACHES), run: await helperRunner(), env };
    const ready = new ReadyCopies({
      ...tools,
      project,
      minFreeBytes: () => config().of(DISK).minFreeDiskBytes,
      onFailure: (path, error) => log.warning("Cannot make a cache ready", { path, error }),
    });
    loaded.resolve(ready);
    return cacheStep({ ...tools, clock, ready });
  };
  let step: Promise<AttemptStep> | undefined;
  return {
    steps: [
      lazyStep({
        name: "caches",
        doing: "restoring or saving caches",
        needed: ({ caches = [] }) => caches.length > 0,
        does: "both",
        load: () => step ??= make(),
      }),
    ],
    tasks: {
      "ready copies of caches": async (signal) =>
        await (await raceAbort(loaded.promise, signal)).run(signal),
    },
  };
}
