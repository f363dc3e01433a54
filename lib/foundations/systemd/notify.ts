/**
 * Reports the state of this process to the service manager, as in `sd_notify(3)`.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { type TakeableEnvironment, takeVariables } from "@lib/foundations/systemd/listen_fds.ts";
import type { SendResult } from "@lib/foundations/systemd/libc.ts";

/**
 * Messages to the service manager.
 *
 * A message is retried for a second while the manager's queue is full. Without a
 * manager that listens, every method does nothing.
 *
 * @throws {CicdError} `io_failed`, from every method, if a message is not accepted.
 */
export interface Notifier {
  /** The process is ready; may be called again after {@linkcode Notifier.reloading}. */
  ready(status: string): Promise<void>;
  /** Sets the line that `systemctl status` shows. */
  status(text: string): Promise<void>;
  stopping(): Promise<void>;
  /** The process reloads its configuration; {@linkcode Notifier.ready} must follow. */
  reloading(): Promise<void>;
  watchdogPing(): Promise<void>;
  /**
   * Gives a copy of a descriptor to the manager, which passes it to the process that it starts after
   * this one, unless the unit has been stopped in between.
   *
   * @param name Letters, digits and dashes; it names the descriptor there.
   */
  keepDescriptor(name: string, fd: number): Promise<void>;
  /** Closes the manager's copy of a descriptor. */
  dropDescriptor(name: string): Promise<void>;
  /** Set if a manager may keep descriptors. */
  readonly keepsDescriptors: boolean;
  /** Longest time between two pings; `undefined` if none are expected. */
  readonly watchdogIntervalMs: number | undefined;
}

/** Options for {@linkcode createNotifier}. */
export interface NotifierOptions {
  readonly env: TakeableEnvironment;
  readonly pid: number;
  readonly clock: Clock;
  /** Sends one datagram without waiting. */
  readonly send: (address: string, bytes: Uint8Array<ArrayBuffer>) => SendResult;
  /** Sends one datagram with a descriptor. */
  readonly sendDescriptor: (
    address: string,
    bytes: Uint8Array<ArrayBuffer>,
    fd: number,
  ) => SendResult;
  /** Microseconds of the monotonic clock. */
  readonly monotonicMicros: () => bigint;
}

const RETRY_EVERY_MS = 20;
const RETRIES = 50;

/**
 * Creates the notifier, and takes `NOTIFY_SOCKET` and `WATCHDOG_*` from the
 * environment.
 *
 * @throws {CicdError} `invalid_config` if a variable is malformed.
 */
export function createNotifier(options: NotifierOptions): Notifier {
  const { env, pid, clock, monotonicMicros } = options;
  const taken = takeVariables(env, ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]);
  const address = taken.get("NOTIFY_SOCKET") ?? "";
  if (address !== "" && !/^[/@]./.test(address)) {
    throw new CicdError(
      "invalid_config",
      `Cannot use NOTIFY_SOCKET "${address}": it is neither an absolute path nor begins with @`,
    );
  }

  const notify = (...lines: readonly string[]) =>
    deliver(lines, (bytes) => options.send(address, bytes));

  async function deliver(
    lines: readonly string[],
    send: (bytes: Uint8Array<ArrayBuffer>) => SendResult,
  ): Promise<void> {
    if (address === "") return;
    const bytes = new TextEncoder().encode(lines.join("\n"));
    for (let tries = 0;; tries++) {
      const result = send(bytes);
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
    // A terminal hangs up for a moment before its program has opened it: the manager must not care.
    keepDescriptor: (name, fd) =>
      deliver(
        ["FDSTORE=1", `FDNAME=${name}`, "FDPOLL=0"],
        (bytes) => options.sendDescriptor(address, bytes, fd),
      ),
    dropDescriptor: (name) => notify("FDSTOREREMOVE=1", `FDNAME=${name}`),
    keepsDescriptors: address !== "",
    watchdogIntervalMs: address === "" ? undefined : watchdogInterval(taken, pid),
  };
}

function watchdogInterval(taken: ReadonlyMap<string, string>, pid: number): number | undefined {
  const micros = taken.get("WATCHDOG_USEC");
  if (micros === undefined || (taken.get("WATCHDOG_PID") ?? String(pid)) !== String(pid)) {
    return undefined;
  }
  if (!/^[1-9]\d{0,15}$/.test(micros)) {
    throw new CicdError(
      "invalid_config",
      `Cannot use WATCHDOG_USEC "${micros}": it is not a positive number of microseconds`,
    );
  }
  return Number(micros) / 1_000;
}

/** Removes line breaks, which would begin another assignment. */
function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what is removed
  return text.replaceAll(/[\u0000-\u001f\u007f]+/g, " ");
}
