/**
 * Stays with one container until it is over: brings its output into the log, ends it when its time
 * is up or somebody wants it, writes the record of its end, and removes it.
 *
 * All that it knows is in the attempt's directory and at the engine, so that a later one goes on
 * where an earlier one died.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { hasStatus } from "@lib/foundations/docker/engine_error.ts";
import type { ContainerInfo } from "@lib/foundations/docker/engine_types.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import { copyOutput } from "@lib/features/containers/container_log.ts";
import { formatContainerEnd } from "@lib/features/containers/container_result.ts";
import { enforceEnd } from "@lib/features/containers/container_stop.ts";
import { type ContainerUsage, watchUsage } from "@lib/features/containers/container_usage.ts";
import { logFilesOf, writeResult } from "@lib/spine/executors/directory_files.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";

/** How long a container lives before it is asked about. */
const LOOK_AFTER_MS = 40;

/** Options for {@linkcode monitorContainer}. */
export interface MonitorOptions {
  /** Name or id. */
  readonly container: string;
  /** Leaves the output where it is: reading it has failed again and again. */
  readonly withoutLog: boolean;
  /** Resolves each time when somebody has asked for a stop. */
  readonly stopAsked: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Stays with a container until its record is on disk and it is removed.
 *
 * Returns at once if there is no such container, or if it was never started: then nothing is
 * written. May be called again after any failure.
 */
export async function monitorContainer(
  engine: Engine,
  attempt: AttemptHandle,
  options: MonitorOptions,
): Promise<void> {
  const { container, clock, signal } = options;
  if (!existsSync(attempt.directory.resultFile)) {
    const usage = await follow(engine, attempt, options);
    const [info] = await Promise.all([
      engine.inspectContainer(container, signal),
      completeLog(engine, attempt, options),
    ]);
    if (info === undefined) return;
    if (isRunning(info)) {
      throw new CicdError("engine_unavailable", "Cannot wait for the container: it still runs");
    }
    if (wasStarted(info)) {
      const oomKilled = info.oomKilled || await wasOutOfMemory(engine, attempt, info, signal);
      const end = { info: { ...info, oomKilled }, usage, now: clock.now() };
      await writeResult(attempt.directory, formatContainerEnd(attempt, end));
    }
  }
  await tidy(engine, attempt, options);
}

/** Whether a container has processes. */
export function isRunning({ status }: ContainerInfo): boolean {
  return status === "running" || status === "paused" || status === "restarting" ||
    status === "stopping";
}

/** Whether the engine ever executed anything in a container. */
export function wasStarted({ status, startedAt }: ContainerInfo): boolean {
  return startedAt !== undefined ||
    !["created", "configured", "initialized"].includes(status);
}

/** What becomes of a process that gets SIGKILL, in the words of an engine. */
const KILLED = 137;
/** How long after the end an engine may still hear of a kill for want of memory. */
const NEWS_MS = 500;

/** Looks once more at an end that looks like a kill for want of memory. */
async function wasOutOfMemory(
  engine: Engine,
  { spec, directory }: AttemptHandle,
  { id, exitCode, startedAt, finishedAt }: ContainerInfo,
  signal: AbortSignal,
): Promise<boolean> {
  if (exitCode !== KILLED || spec.limits.memoryBytes === undefined) return false;
  if (startedAt === undefined || finishedAt === undefined) return false;
  if (existsSync(directory.stopFile) || (await engine.facts(signal)).podman) return false;
  const between = { sinceMs: startedAt, untilMs: finishedAt + NEWS_MS };
  return await engine.heardOutOfMemory(id, between, signal);
}

/** Follows a container to its end; returns what it used, as far as that was seen. */
async function follow(
  engine: Engine,
  attempt: AttemptHandle,
  { container, withoutLog, stopAsked, clock, signal }: MonitorOptions,
): Promise<ContainerUsage> {
  const over = new AbortController();
  const alive = AbortSignal.any([signal, over.signal]);
  let usage: ContainerUsage = {};
  const besides = async () => {
    // A job that is over at once is spared the questions.
    await sleepUnless(stopAsked(), { ms: LOOK_AFTER_MS, clock, signal: alive });
    const info = await engine.inspectContainer(container, alive);
    if (info === undefined || !isRunning(info)) return;
    const onUsage = (seen: ContainerUsage) => {
      usage = seen;
    };
    await Promise.all([
      watchUsage(info, { onUsage, clock, signal: alive }),
      enforceEnd(engine, attempt, {
        container,
        startedAt: info.startedAt ?? clock.now(),
        stopAsked,
        clock,
        signal: alive,
      }),
    ]);
  };
  const beside = besides().catch((error: unknown) => {
    if (!over.signal.aborted) throw error;
  });
  try {
    const exited = new AbortController();
    const ended = orGone(engine.waitContainer(container, alive))
      .then(() => exited.abort(new DOMException("The container has ended", "AbortError")));
    // Whatever fails, the engine or the disk, is told; the rest ends then.
    await Promise.race([
      Promise.all([
        ended,
        withoutLog ? ended : copyAll(engine, attempt, {
          container,
          exited: exited.signal,
          follow: true,
          clock,
          signal: alive,
        }),
      ]),
      beside.then(() => ended).then(() => new Promise<never>(() => {})),
    ]);
    return usage;
  } finally {
    over.abort(new DOMException("The container has ended", "AbortError"));
    await beside.catch(ignore("whoever waits was told"));
  }
}

/** How long an engine may keep the rest of the output of a container that has ended. */
const QUIET_MS = 10_000;

interface CopyAllOptions extends Pick<MonitorOptions, "container" | "clock" | "signal"> {
  /** Aborts when the container has ended. */
  readonly exited: AbortSignal;
  readonly follow: boolean;
}

/** Reads the output once more where the engine may have kept its end; what is there is skipped. */
async function completeLog(
  engine: Engine,
  attempt: AttemptHandle,
  { container, withoutLog, clock, signal }: MonitorOptions,
): Promise<void> {
  const { podman, mayCutOutput } = await engine.facts(signal);
  if (withoutLog || podman || !mayCutOutput) return;
  const exited = AbortSignal.abort(new DOMException("The container has ended", "AbortError"));
  await copyAll(engine, attempt, { container, exited, follow: false, clock, signal });
}

async function copyAll(
  engine: Engine,
  attempt: AttemptHandle,
  options: CopyAllOptions,
): Promise<void> {
  const { container, follow, clock, signal } = options;
  // Without its log the attempt was never begun.
  if (!logFilesOf(attempt.directory, attempt.spec.output).every(existsSync)) return;
  const frames = untilQuiet(engine.readLogs({ container, follow, signal }), options);
  await orGone(copyOutput(attempt, frames, { clock, signal }));
}

/** Breaks off if an engine forgets to end the output of a container that has ended. */
async function* untilQuiet(
  frames: AsyncGenerator<Uint8Array>,
  { exited, clock, signal }: CopyAllOptions,
): AsyncGenerator<Uint8Array> {
  try {
    while (true) {
      const next = frames.next();
      await raceAbort(next, exited).catch((error: unknown) => {
        if (!exited.aborted) throw error;
      });
      if (exited.aborted && !await sleepUnless(next, { ms: QUIET_MS, clock, signal })) {
        throw new CicdError("engine_unavailable", "Cannot read a container's output to its end");
      }
      const { done, value } = await next;
      if (done === true) return;
      yield value;
    }
  } finally {
    // Not waited for: it may hang where the engine does, until the signal aborts.
    void frames.return(undefined).catch(ignore("whoever reads was told"));
  }
}

/** What is said of a container that is not there is that it is over. */
async function orGone(promise: Promise<void>): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
}

/** What is left of a container costs space only; the next agent removes it by its label. */
async function tidy(
  engine: Engine,
  { ref }: AttemptHandle,
  { container, log, signal }: MonitorOptions,
): Promise<void> {
  try {
    await engine.removeContainer(container, signal);
  } catch (error) {
    signal.throwIfAborted();
    log.warning("Cannot remove a container", { jobId: ref.jobId, attempt: ref.number, error });
  }
}
