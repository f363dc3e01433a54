/**
 * The life of a daemon between READY and the end: signals, reload, idle exit,
 * watchdog, status line.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { messageOf } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { Notifier } from "@lib/foundations/systemd/notify.ts";
import { runWatchdog } from "@lib/foundations/systemd/watchdog.ts";
import { collectorWhenIdle } from "./idle_memory.ts";

/** A daemon, as {@linkcode untilStopped} runs it. */
interface DaemonParts {
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly log: Logger;
  /** One line for `systemctl status`. */
  readonly status: () => string;
  /** Milliseconds of idleness; `0` while there is work. */
  readonly idleForMs: () => number;
  /** Idleness after which to exit; `0`: never. */
  readonly idleExitMs: () => number;
  /** The reason to withhold the watchdog's ping; `undefined` while healthy. */
  readonly unhealthyReason: () => string | undefined;
  /** Reads the configuration again. */
  readonly reload: (signal: AbortSignal) => Promise<void>;
  /** Aborted if a SIGTERM came before this waits for one. */
  readonly stopAsked?: AbortSignal;
}

/** The reason that a daemon stops. */
type StopCause = "SIGTERM" | "SIGINT" | "idle";

/** Interval between two checks of status and idleness. */
const LOOK_MS = 500;

/** Reports READY, then resolves when the daemon should stop. */
export async function untilStopped(parts: DaemonParts): Promise<StopCause> {
  const { notifier, clock, log } = parts;
  let problem = "";
  const status = () => `${parts.status()}${problem}`;
  const stop = Promise.withResolvers<StopCause>();
  await using tasks = new TaskGroup({
    onFailure: (task, error) => log.error("A background task failed", { task, error }),
  });
  let reloads = Promise.resolve();
  using _signals = onSignals({
    SIGTERM: () => stop.resolve("SIGTERM"),
    SIGINT: () => stop.resolve("SIGINT"),
    // One after another, so that the last request wins.
    SIGHUP: () =>
      tasks.spawn("reload", async (signal) => {
        const before = reloads;
        const done = Promise.withResolvers<void>();
        reloads = done.promise;
        await before;
        try {
          problem = await reload({ ...parts, status }, signal);
        } finally {
          done.resolve();
        }
      }),
  });
  if (parts.stopAsked?.aborted === true) stop.resolve("SIGTERM");
  await notifier.ready(status());
  tasks.spawn("idle", (signal) => watchIdleness({ ...parts, status }, stop.resolve, signal));
  const intervalMs = notifier.watchdogIntervalMs;
  if (intervalMs !== undefined) {
    let withheld = false;
    tasks.spawn("watchdog", (signal) =>
      runWatchdog({
        intervalMs,
        ping: () => notifier.watchdogPing(),
        unhealthyReason: parts.unhealthyReason,
        onBeat(beat) {
          if (beat.kind === "failed") log.error("Cannot ping the watchdog", { error: beat.error });
          if (beat.kind === "withheld" && !withheld) {
            log.error("The watchdog is not pinged: the program is unhealthy", {
              reason: beat.reason,
            });
          }
          withheld = beat.kind === "withheld";
        },
        clock,
        signal,
      }));
  }
  const cause = await stop.promise;
  await notifier.stopping();
  log.info("Stopping", { cause });
  return cause;
}

/** @returns What to add to the status: the problem of the configuration, if there is one. */
async function reload(
  { notifier, log, status, ...parts }: DaemonParts,
  signal: AbortSignal,
): Promise<string> {
  await notifier.reloading();
  try {
    await parts.reload(signal);
    log.info("Configuration reloaded");
    return "";
  } catch (error) {
    log.error("Cannot reload the configuration; the previous one stays in use", { error });
    return ` (not reloaded: ${messageOf(error)})`;
  } finally {
    await notifier.ready(status());
  }
}

async function watchIdleness(
  parts: DaemonParts,
  stop: (cause: StopCause) => void,
  signal: AbortSignal,
): Promise<void> {
  const { notifier, clock, log, status, idleForMs, idleExitMs } = parts;
  let reported = "";
  let failing = false;
  const collectIfIdle = collectorWhenIdle(clock);
  while (!signal.aborted) {
    try {
      const text = status();
      if (text !== reported) await notifier.status(text);
      reported = text;
      const limitMs = idleExitMs();
      const idleMs = idleForMs();
      if (limitMs > 0 && idleMs >= limitMs) return stop("idle");
      collectIfIdle(idleMs);
      failing = false;
    } catch (error) {
      // Such as a disk that does not respond: logged once, tried again.
      if (!failing) log.error("Cannot report the program's status; trying again", { error });
      failing = true;
    }
    try {
      await clock.sleep(LOOK_MS, { signal });
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
  }
}

function onSignals(handlers: Partial<Record<Deno.Signal, () => void>>): Disposable {
  const added = Object.entries(handlers) as [Deno.Signal, () => void][];
  for (const [name, handler] of added) Deno.addSignalListener(name, handler);
  return {
    [Symbol.dispose]() {
      for (const [name, handler] of added) Deno.removeSignalListener(name, handler);
    },
  };
}
