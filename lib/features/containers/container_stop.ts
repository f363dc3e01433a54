/**
 * Stops a container at its time limit or at a stop request.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { statIfThereSync } from "@lib/foundations/files/records.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import { requestStop } from "@lib/spine/executors/directory_files.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";

/** Options for {@linkcode enforceEnd}. */
export interface EnforceOptions {
  readonly container: string;
  /** Milliseconds since the epoch, by the engine's clock. */
  readonly startedAt: number;
  /** Resolves at the first stop request. */
  readonly stopRequested: Promise<void>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Time between two SIGKILLs, in case the engine loses one. */
const KILL_AGAIN_MS = 5_000;

/**
 * Stops a container in time; returns when `signal` aborts, which the container's end causes.
 *
 * The time limit becomes a stop request like any other. The grace period starts with the request,
 * whose time is that of its file and so survives a restart.
 */
export async function enforceEnd(
  engine: Pick<Engine, "killContainer">,
  { spec, directory }: AttemptHandle,
  { container, startedAt, stopRequested, clock, signal }: EnforceOptions,
): Promise<void> {
  const limitAt = startedAt + spec.timeoutMs;
  let stopAt = stopTime(directory.stopFile);
  if (stopAt === undefined) {
    const ms = Math.max(0, limitAt - clock.now());
    if (!await sleepUnless(stopRequested, { ms, clock, signal })) {
      requestStop(directory, { reason: "timeout", by: "the time limit" });
    }
    // A request that cannot be recorded counts from now.
    stopAt = stopTime(directory.stopFile) ?? clock.now();
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
  const info = statIfThereSync(path);
  return info && (info.mtime?.getTime() ?? 0);
}
