/**
 * Error replies.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/** The other side is not there, as opposed to it saying no. */
const AWAY: ReadonlySet<string> = new Set([
  "org.freedesktop.DBus.Error.Disconnected",
  "org.freedesktop.DBus.Error.LimitsExceeded",
  "org.freedesktop.DBus.Error.NameHasNoOwner",
  "org.freedesktop.DBus.Error.NoReply",
  "org.freedesktop.DBus.Error.NoServer",
  "org.freedesktop.DBus.Error.ServiceUnknown",
  "org.freedesktop.DBus.Error.TimedOut",
  "org.freedesktop.DBus.Error.Timeout",
  "org.freedesktop.systemd1.ShuttingDown",
]);

/**
 * A call that was answered with an error.
 *
 * Its code is `systemd_unavailable` if the service is away, so that nobody
 * knows what became of the call, and `executor_failed` if the service refused.
 */
export class DBusError extends CicdError {
  /** Such as `org.freedesktop.systemd1.NoSuchUnit`. */
  readonly errorName: string;

  constructor(errorName: string, call: string, text: string) {
    const code = AWAY.has(errorName) ? "systemd_unavailable" : "executor_failed";
    super(code, `Cannot call ${call}: ${text === "" ? errorName : `${text} (${errorName})`}`);
    this.errorName = errorName;
  }
}

/** Whether the thrown is an error reply of one of these names. */
export function isDBusError(thrown: unknown, ...names: readonly string[]): thrown is DBusError {
  return thrown instanceof DBusError && names.includes(thrown.errorName);
}
