/**
 * The way to the user's service manager: its own socket, or the bus.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { systemClock } from "@lib/core/clock.ts";
import type { BusEnvironment } from "@lib/foundations/systemd/dbus/stream.ts";
import { isDBusError } from "@lib/foundations/systemd/dbus/message.ts";
import { UserManager } from "@lib/foundations/systemd/manager.ts";

/** Time that the manager has to appear on a running bus, and the interval of tries. */
const OWNER_PATIENCE_MS = 2_000;
const OWNER_RETRY_MS = 20;

/** The manager's own socket has to be ready by then; afterwards the bus is tried. */
const DIRECT_PATIENCE_MS = 5_000;

/**
 * Connects to the user's service manager: directly where that works, else over the bus.
 *
 * @throws {CicdError} `systemd_unavailable` if it cannot be reached.
 */
export async function connectManager(
  env: BusEnvironment,
  signal: AbortSignal,
): Promise<UserManager> {
  using deadline = withDeadline(signal, DIRECT_PATIENCE_MS, "the service manager's own socket");
  try {
    return await UserManager.connectDirectly(env, deadline);
  } catch {
    signal.throwIfAborted();
    return await connectOverBus(env, signal);
  }
}

/**
 * Connects to the user's service manager over the bus.
 *
 * The connection often starts the bus, and the manager takes its name a moment later: hence the
 * retries.
 *
 * @throws {CicdError} `systemd_unavailable` if it cannot be reached.
 */
async function connectOverBus(
  env: BusEnvironment,
  signal: AbortSignal,
): Promise<UserManager> {
  const patienceEndsAt = systemClock.now() + OWNER_PATIENCE_MS;
  while (true) {
    try {
      return await UserManager.connect(env, signal);
    } catch (error) {
      const unowned = isDBusError(error, "org.freedesktop.DBus.Error.NameHasNoOwner");
      if (!unowned || systemClock.now() > patienceEndsAt) throw error;
    }
    await systemClock.sleep(OWNER_RETRY_MS, { signal });
  }
}
