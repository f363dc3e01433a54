/**
 * What the unit executor needs of the service manager.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import type { BusEnvironment } from "@lib/systemd/dbus/address.ts";
import { busSocketPaths } from "@lib/systemd/dbus/address.ts";
import { BusConnection } from "@lib/systemd/dbus/connection.ts";
import { isDBusError } from "@lib/systemd/dbus/error.ts";
import { openSocket } from "@lib/systemd/dbus/stream.ts";
import { isList, isVariant } from "@lib/systemd/dbus/wire.ts";
import { UserManager } from "@lib/systemd/manager.ts";

/** One connection to the service manager; {@linkcode UserManager} explains the methods. */
export interface UnitManager extends
  Pick<
    UserManager,
    | "startTransientService"
    | "stopUnit"
    | "unitExists"
    | "readLimits"
    | "setRuntimeProperties"
    | "onUnitRemoved"
    | "onReloaded"
  >,
  AsyncDisposable {
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<unknown>;
  /** Names of the variables that the manager hands to every unit now. */
  environmentNames(signal: AbortSignal): Promise<readonly string[]>;
}

/** How long the manager may stay away from a bus that is there, and how often to look. */
const OWNER_PATIENCE_MS = 2_000;
const OWNER_RETRY_MS = 20;

/**
 * Connects to the user's service manager.
 *
 * @throws {CicdError} `systemd_unavailable` if it cannot be reached.
 */
export async function connectUnitManager(
  env: BusEnvironment,
  signal: AbortSignal,
): Promise<UnitManager> {
  await using stack = new AsyncDisposableStack();
  const manager = stack.use(await connectOnceOwned(env, signal));
  const bus = stack.use(
    await BusConnection.open(await openSocket(busSocketPaths(env), signal), signal),
  );
  const held = stack.move();
  return {
    startTransientService: (...call) => manager.startTransientService(...call),
    stopUnit: (...call) => manager.stopUnit(...call),
    unitExists: (...call) => manager.unitExists(...call),
    readLimits: (...call) => manager.readLimits(...call),
    setRuntimeProperties: (...call) => manager.setRuntimeProperties(...call),
    onUnitRemoved: (callback) => manager.onUnitRemoved(callback),
    onReloaded: (callback) => manager.onReloaded(callback),
    closed: Promise.race([manager.closed, bus.closed]),
    environmentNames: (signal) => environmentNames(bus, signal),
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  };
}

/**
 * The manager takes its name on the bus a moment after the bus has started, and the bus is often
 * started by our own connecting.
 */
async function connectOnceOwned(env: BusEnvironment, signal: AbortSignal): Promise<UserManager> {
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

async function environmentNames(
  bus: BusConnection,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const [variant] = await bus.call({
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.DBus.Properties",
    member: "Get",
    signature: "ss",
    body: ["org.freedesktop.systemd1.Manager", "Environment"],
  }, { signal });
  const assignments = isVariant(variant) && isList(variant.value) ? variant.value : [];
  return assignments.map((assignment) => String(assignment).split("=", 1)[0] ?? "");
}
