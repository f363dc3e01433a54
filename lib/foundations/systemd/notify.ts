/**
 * Telling the service manager how this process is, as in `sd_notify(3)`.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { type TakeableEnvironment, takeVariables } from "@lib/foundations/systemd/environment.ts";
import type { SendResult } from "@lib/foundations/systemd/libc.ts";

/**
 * Messages to the service manager.
 *
 * A message that finds the manager's queue full is tried again for a second.
 * Without a manager that listens, every method does nothing.
 *
 * @throws {CicdError} `io_failed`, from every method, if a message was not taken.
 */
export interface Notifier {
  /** The process serves; may be called again after {@linkcode Notifier.reloading}. */
  ready(status: string): Promise<void>;
  /** One line for people, shown by `systemctl status`. */
  status(text: string): Promise<void>;
  /** The process begins to end. */
  stopping(): Promise<void>;
  /** The process reads its configuration again; {@linkcode Notifier.ready} must follow. */
  reloading(): Promise<void>;
  /** The process does its work. */
  watchdogPing(): Promise<void>;
  /** A start or stop needs this much longer, from now. */
  extendTimeout(ms: number): Promise<void>;
  /** Longest time between two pings; `undefined` if none are wanted. */
  readonly watchdogIntervalMs: number | undefined;
}

/** Options for {@linkcode createNotifier}. */
export interface NotifierOptions {
  readonly env: TakeableEnvironment;
  /** This process's id. */
  readonly pid: number;
  readonly clock: Clock;
  /** Sends one datagram without waiting. */
  readonly send: (address: string, bytes: Uint8Array<ArrayBuffer>) => SendResult;
  /** Microseconds of the monotonic clock. */
  readonly monotonicMicros: () => bigint;
}

const RETRY_EVERY_MS = 20;
const RETRIES = 50;

/**
 * Makes the notifier, and takes `NOTIFY_SOCKET` and `WATCHDOG_*` from the
 * environment.
 *
 * @throws {CicdError} `invalid_config` if a variable is malformed.
 */
export function createNotifier(options: NotifierOptions): Notifier {
  const { env, pid, clock, send, monotonicMicros } = options;
  const taken = takeVariables(env, ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]);
  const address = taken.get("NOTIFY_SOCKET");
  if (address === undefined || address === "") return silent();
  if (!/^[/@]./.test(address)) {
    throw new CicdError(
      "invalid_config",
      `Cannot use NOTIFY_SOCKET "${address}": it is neither an absolute path nor begins with @`,
    );
  }

  async function notify(...lines: readonly string[]): Promise<void> {
    const bytes = new TextEncoder().encode(lines.join("\n"));
    for (let tries = 0;; tries++) {
      const result = send(address ?? "", bytes);
      if (result.kind === "sent") return;
      if (result.kind === "failed" || tries === RETRIES) {
        const state = result.kind === "failed" ? `errno is ${result.errno}` : "its queue is full";
        throw new CicdError("io_failed", `Cannot notify the service manager: ${state}`);
      }
      await clock.sleep(RETRY_EVERY_MS);
    }
  }

  return {
    ready: (status) => notify("READY=1", `STATUS=${oneLine(status)}`),
    status: (text) => notify(`STATUS=${oneLine(text)}`),
    stopping: () => notify("STOPPING=1"),
    reloading: () => notify("RELOADING=1", `MONOTONIC_USEC=${monotonicMicros()}`),
    watchdogPing: () => notify("WATCHDOG=1"),
    extendTimeout: (ms) => notify(`EXTEND_TIMEOUT_USEC=${Math.round(ms * 1_000)}`),
    watchdogIntervalMs: watchdogInterval(
      taken.get("WATCHDOG_USEC"),
      taken.get("WATCHDOG_PID"),
      pid,
    ),
  };
}

function silent(): Notifier {
  const nothing = () => Promise.resolve();
  return {
    ready: nothing,
    status: nothing,
    stopping: nothing,
    reloading: nothing,
    watchdogPing: nothing,
    extendTimeout: nothing,
    watchdogIntervalMs: undefined,
  };
}

function watchdogInterval(
  micros: string | undefined,
  forPid: string | undefined,
  pid: number,
): number | undefined {
  if (micros === undefined || (forPid !== undefined && forPid !== String(pid))) return undefined;
  if (!/^[1-9]\d{0,15}$/.test(micros)) {
    throw new CicdError(
      "invalid_config",
      `Cannot use WATCHDOG_USEC "${micros}": it is no positive number of microseconds`,
    );
  }
  return Number(micros) / 1_000;
}

/** A line break would begin another assignment. */
function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what is removed
  return text.replaceAll(/[\u0000-\u001f\u007f]+/g, " ");
}
