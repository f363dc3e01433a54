/**
 * What the unit executor needs of the service manager.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import type { BusEnvironment } from "@lib/foundations/systemd/dbus/address.ts";
import { isDBusError } from "@lib/foundations/systemd/dbus/error.ts";
import { UserManager } from "@lib/foundations/systemd/manager.ts";

/** One connection to the service manager; {@linkcode UserManager} explains the methods. */
export interface UnitManager extends
  Pick<
    UserManager,
    | "startTransientService"
    | "stopUnit"
    | "unitExists"
    | "readLimits"
    | "readUsage"
    | "setRuntimeProperties"
    | "onUnitRemoved"
    | "onReloaded"
    | "environmentNames"
  >,
  AsyncDisposable {
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<unknown>;
}

/** How long the manager may stay away from a bus that is there, and how often to look. */
const OWNER_PATIENCE_MS = 2_000;
const OWNER_RETRY_MS = 20;

/**
 * Connects to the user's service manager.
 *
 * The manager takes its name on the bus a moment after the bus has started, and the bus is often
 * started by our own connecting: it is given that moment.
 *
 * @throws {CicdError} `systemd_unavailable` if it cannot be reached.
 */
export async function connectUnitManager(
  env: BusEnvironment,
  signal: AbortSignal,
): Promise<UnitManager> {
  const patienceEndsAt = systemClock.now() + OWNER_PATIENCE_MS;
  while (true) {
    try {
      return await UserManager.connect({ env, signal });
    } catch (error) {
      const unowned = isDBusError(error, "org.freedesktop.DBus.Error.NameHasNoOwner");
      if (!unowned || systemClock.now() > patienceEndsAt) throw error;
    }
    await systemClock.sleep(OWNER_RETRY_MS, { signal });
  }
}
