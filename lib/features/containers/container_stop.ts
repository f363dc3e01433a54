/**
 * Ends a container that runs too long, or that somebody wants to end.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import { requestStop } from "@lib/spine/executors/directory_files.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";

/** Options for {@linkcode enforceEnd}. */
export interface EnforceOptions {
  readonly container: string;
  /** Milliseconds since the epoch, as the engine has it. */
  readonly startedAt: number;
  /** Resolves when somebody has asked for a stop. */
  readonly stopAsked: () => Promise<void>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Between two SIGKILLs, should the engine lose one. */
const KILL_AGAIN_MS = 5_000;

/**
 * Sees to a container's end until `signal` aborts, which it does when the container has ended.
 *
 * The time limit becomes a stop request like any other. From the moment of the request, which is
 * the time of its file and so outlives us, the job has its grace.
 */
export async function enforceEnd(
  engine: Engine,
  { spec, directory }: AttemptHandle,
  { container, startedAt, stopAsked, clock, signal }: EnforceOptions,
): Promise<void> {
  const limitAt = startedAt + spec.timeoutMs;
  let asked = stopAsked();
  let stopAt = stopTime(directory.stopFile);
  while (stopAt === undefined) {
    if (clock.now() >= limitAt) {
      const wanted = requestStop(directory, { reason: "timeout", by: "the time limit" });
      if (!wanted) return;
    } else if (await sleepUnless(asked, { ms: limitAt - clock.now(), clock, signal })) {
      asked = stopAsked();
    }
    stopAt = stopTime(directory.stopFile);
  }
  const killAt = stopAt + spec.graceMs;
  if (clock.now() < killAt) {
    await engine.killContainer(container, "SIGTERM", signal);
    await clock.sleep(Math.max(0, killAt - clock.now()), { signal });
  }
  while (true) {
    await engine.killContainer(container, "SIGKILL", signal);
    await clock.sleep(KILL_AGAIN_MS, { signal });
  }
}

function stopTime(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).mtime?.getTime() ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
