/**
 * The runner's part of cleaning.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { Clean, Cleaner } from "@lib/features/cleaning/cleaner.ts";
import { RETENTION } from "@lib/features/cleaning/keys.ts";
import { cleaningRoutes } from "@lib/features/cleaning/routes.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { DISK } from "@lib/spine/queue/keys.ts";

/** Soon, as an idle runner exits soon; not at once, as a client waits for its first answer. */
const FIRST_CLEANING_MS = 5_000;

/** Returns the part. */
export function part(services: RunnerServices): RunnerPart {
  const { store, config, clock, log, tasks } = services;
  const { stateDir, runtimeDir } = config().of(PROGRAM);
  const limits = () => ({ ...config().of(RETENTION), ...config().of(DISK) });
  let cleaner: Promise<Cleaner> | undefined;
  const open = async () => {
    const { openCleaner } = await import("@lib/features/cleaning/cleaner.ts");
    const sources = await services.cleanSources();
    const { removeForeign } = services;
    const own = { store, stateDir, runtimeDir, removeForeign };
    return openCleaner({ ...own, limits, clock, log, sources });
  };
  const clean: Clean = async (request, signal) =>
    await (await (cleaner ??= open())).clean(request, signal);
  const background = { clean, intervalMs: () => limits().intervalMs, clock, log };
  return {
    routes: cleaningRoutes({ clean }),
    start: () => tasks.spawn("cleaning", (signal) => runCleanings(background, signal)),
  };
}

interface BackgroundOptions {
  readonly clean: Clean;
  readonly intervalMs: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Cleans at the configured interval until `signal` aborts; sooner after a failure. */
export async function runCleanings(
  { clean, intervalMs, clock, log }: BackgroundOptions,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff({ firstMs: 5_000, maxMs: 600_000 });
  let restMs = FIRST_CLEANING_MS;
  while (!signal.aborted) {
    try {
      await clock.sleep(restMs, { signal });
      const { items } = await clean({ dryRun: false, scope: "background" }, signal);
      const hasFailed = items.some(({ outcome }) => outcome === "failed");
      if (!hasFailed) backoff.reset();
      restMs = hasFailed ? backoff.next() : intervalMs();
    } catch (error) {
      if (signal.aborted) return;
      log.error("Cannot clean; trying again", { error });
      restMs = backoff.next();
    }
  }
}
