/**
 * Monitors one container until its end: copies its output into the log, stops it in time and writes
 * the record of its end.
 *
 * All state is in the attempt's directory and at the engine, so a later process can continue.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { hasStatus } from "@lib/foundations/docker/engine_error.ts";
import type { ContainerInfo } from "@lib/foundations/docker/engine_types.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import { copyOutput, copyRest } from "@lib/features/containers/container_log.ts";
import { RecentRecords } from "@lib/features/containers/recent_records.ts";
import { formatContainerEnd } from "@lib/features/containers/container_result.ts";
import { enforceEnd } from "@lib/features/containers/container_stop.ts";
import { type ContainerUsage, watchUsage } from "@lib/features/containers/container_usage.ts";
import {
  type OomKills,
  readOomKills,
  wasOutOfMemory,
} from "@lib/features/containers/container_oom.ts";
import { logFilesOf, writeResult } from "@lib/spine/executors/directory_files.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";

/** Age at which a container is first inspected. */
const LOOK_AFTER_MS = 40;

/** Options for {@linkcode monitorContainer}. */
export interface MonitorOptions {
  /** Name or id. */
  readonly container: string;
  /** Skips the output, after reading it has failed repeatedly. */
  readonly withoutLog: boolean;
  /** Out-of-memory kills before the start, if known and needed. */
  readonly killsBefore: OomKills | undefined;
  /** Resolves at the next stop request. */
  readonly stopRequested: () => Promise<void>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Monitors a container until its record is on disk; then it may be removed.
 *
 * Writes nothing if there is no such container, or if it was never started. May be called again
 * after any failure.
 */
export async function monitorContainer(
  engine: Engine,
  attempt: AttemptHandle,
  options: MonitorOptions,
): Promise<void> {
  const { container, clock, signal } = options;
  if (!existsSync(attempt.directory.resultFile)) {
    const { podman, mayCutOutput } = await engine.facts(signal);
    const recent = !podman && mayCutOutput ? new RecentRecords() : undefined;
    const usage = await follow(engine, attempt, recent, options);
    const [info] = await Promise.all([
      engine.inspectContainer(container, signal),
      recent === undefined || options.withoutLog
        ? undefined
        : completeLog(engine, attempt, recent, options),
    ]);
    if (info === undefined) return;
    if (isRunning(info)) {
      throw new CicdError(
        "engine_unavailable",
        "Cannot wait for the container: it is still running",
      );
    }
    if (wasStarted(info)) {
      const oomKilled = info.oomKilled || (mayRunOut(attempt) && (usage.oomKills ?? 0) === 0 &&
        await wasOutOfMemory(engine, info, {
          before: options.killsBefore,
          after: readOomKills(attempt.ref),
          clock,
          signal,
        }));
      const end = { info: { ...info, oomKilled }, usage, now: clock.now() };
      writeResult(attempt.directory, formatContainerEnd(attempt, end));
    }
  }
}

/** Tells if a SIGKILL is not the suite's own, and memory was bounded. */
function mayRunOut({ spec, directory }: AttemptHandle): boolean {
  return spec.limits.memoryBytes !== undefined && !existsSync(directory.stopFile);
}

/** Tells if a container has processes. */
export function isRunning({ status }: ContainerInfo): boolean {
  return ["running", "paused", "restarting", "stopping"].includes(status);
}

/** Tells if the engine ever executed anything in a container. */
export function wasStarted({ status, startedAt }: ContainerInfo): boolean {
  return startedAt !== undefined || !["created", "configured", "initialized"].includes(status);
}

/** Follows a container to its end; returns its usage as last seen. */
async function follow(
  engine: Engine,
  attempt: AttemptHandle,
  recent: RecentRecords | undefined,
  { container, withoutLog, stopRequested, clock, signal }: MonitorOptions,
): Promise<ContainerUsage> {
  const over = new AbortController();
  const alive = AbortSignal.any([signal, over.signal]);
  let usage: ContainerUsage = {};
  const watch = async () => {
    // A very short job is not inspected.
    const requested = stopRequested();
    await sleepUnless(requested, { ms: LOOK_AFTER_MS, clock, signal: alive });
    const info = await engine.inspectContainer(container, alive);
    if (info === undefined || !isRunning(info)) return;
    const onUsage = (latest: ContainerUsage) => void (usage = latest);
    await Promise.all([
      watchUsage(info, { onUsage, clock, signal: alive }),
      enforceEnd(engine, attempt, {
        container,
        startedAt: info.startedAt ?? clock.now(),
        stopRequested: requested,
        clock,
        signal: alive,
      }),
    ]);
  };
  const watching = watch().catch((error: unknown) => {
    if (!over.signal.aborted) throw error;
  });
  try {
    const exited = new AbortController();
    const ended = orGone(engine.waitContainer(container, alive))
      .then(() => exited.abort(new DOMException("The container has ended", "AbortError")));
    // The first failure, of the engine or the disk, ends the rest.
    await Promise.race([
      Promise.all([
        ended,
        withoutLog ? ended : copyAll(engine, attempt, {
          container,
          exited: exited.signal,
          follow: true,
          recent,
          clock,
          signal: alive,
        }),
      ]),
      watching.then(() => ended).then(() => new Promise<never>(() => {})),
    ]);
    return usage;
  } finally {
    over.abort(new DOMException("The container has ended", "AbortError"));
    await watching.catch(ignore("the caller got it"));
  }
}

/** Time that an engine has to send the rest of the output of an ended container. */
const QUIET_MS = 10_000;

interface CopyAllOptions extends Pick<MonitorOptions, "container" | "clock" | "signal"> {
  /** Aborts when the container has ended. */
  readonly exited: AbortSignal;
  readonly follow: boolean;
  /** Set: reads times as well, and adds the records to it. */
  readonly recent?: RecentRecords | undefined;
}

/** Records of the tail that is read again; the engine holds at most 16 KiB to be one. */
const TAIL_RECORDS = 256;

/**
 * Reads the end of the output again, as the engine may have cut it off: all of it if it is short, or
 * if the tail does not show for certain what is missing.
 */
async function completeLog(
  engine: Engine,
  attempt: AttemptHandle,
  recent: RecentRecords,
  { container, clock, signal }: MonitorOptions,
): Promise<void> {
  const exited = AbortSignal.abort(new DOMException("The container has ended", "AbortError"));
  const options = { container, exited, follow: false, clock, signal };
  if (recent.count > TAIL_RECORDS && hasLog(attempt)) {
    const tail = { container, follow: false, stamped: true, tail: TAIL_RECORDS, signal };
    const frames = untilQuiet(engine.readLogs(tail), options);
    let isComplete = false;
    await orGone(copyRest(attempt, frames, recent).then((done) => void (isComplete = done)));
    if (isComplete) return;
  }
  await copyAll(engine, attempt, options);
}

async function copyAll(
  engine: Engine,
  attempt: AttemptHandle,
  options: CopyAllOptions,
): Promise<void> {
  const { container, follow, recent, clock, signal } = options;
  if (!hasLog(attempt)) return;
  const stamped = recent !== undefined;
  const frames = untilQuiet(engine.readLogs({ container, follow, stamped, signal }), options);
  await orGone(copyOutput(attempt, frames, { recent, clock, signal }));
}

/** Without its log, an attempt was never begun. */
function hasLog({ directory, spec }: AttemptHandle): boolean {
  return logFilesOf(directory, spec.output).every(existsSync);
}

/** Gives up if an engine does not finish the output of an ended container. */
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
    // Not awaited: it may hang with the engine until the signal aborts.
    void frames.return(undefined).catch(ignore("the reader got it"));
  }
}

/** Treats a missing container as an ended one. */
async function orGone(promise: Promise<void>): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
}
