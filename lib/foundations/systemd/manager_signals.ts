/**
 * What the service manager tells by itself.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { BusConnection, MethodCall } from "@lib/foundations/systemd/dbus/connection.ts";
import type { DBusValue } from "@lib/foundations/systemd/dbus/wire.ts";
import {
  MANAGER_INTERFACE,
  MANAGER_NAME,
  MANAGER_PATH,
} from "@lib/foundations/systemd/manager_calls.ts";
import { parseUnitName, type UnitName } from "@lib/foundations/systemd/unit_name.ts";

/** A job of the manager's queue that is over: a start, a stop. */
export interface FinishedJob {
  /** The job's object path. */
  readonly path: string;
  readonly unit: UnitName;
  /** `done`, `failed`, `canceled`, `timeout`, `dependency`, `skipped`, `assert` … */
  readonly result: string;
}

const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

/** Callbacks for one kind of event; each is called until it is disposed. */
class Listeners<T> {
  readonly #callbacks = new Set<(event: T) => void>();

  /** Adds a callback; it must not throw. */
  add(callback: (event: T) => void): Disposable {
    const own = (event: T) => callback(event);
    this.#callbacks.add(own);
    return { [Symbol.dispose]: () => void this.#callbacks.delete(own) };
  }

  /** Calls every callback that is there now. */
  emit(event: T): void {
    for (const callback of [...this.#callbacks]) callback(event);
  }
}

/** The signals of one manager, from the moment of {@linkcode ManagerSignals.subscribe}. */
export class ManagerSignals {
  readonly unitRemoved = new Listeners<UnitName>();
  readonly jobRemoved = new Listeners<FinishedJob>();
  readonly reloaded = new Listeners<void>();
  #reloading = false;

  private constructor() {}

  /**
   * Asks for the signals, and ends the connection when the manager leaves the
   * bus, since whoever comes after it knows nothing of the subscription.
   *
   * @throws {CicdError} `systemd_unavailable` if no manager is on the bus.
   */
  static async subscribe(bus: BusConnection, signal: AbortSignal): Promise<ManagerSignals> {
    const signals = new ManagerSignals();
    const options = { signal };
    const ownerCall: MethodCall = {
      ...BUS,
      member: "GetNameOwner",
      signature: "s",
      body: [MANAGER_NAME],
    };
    const ownerChanged = {
      sender: BUS.destination,
      path: BUS.path,
      interface: BUS.interface,
      member: "NameOwnerChanged",
      arg0: MANAGER_NAME,
    };
    const [[owner]] = await Promise.all([
      bus.call(ownerCall, options),
      bus.subscribe(ownerChanged, () => bus.abandon(managerLeft()), options),
    ]);
    const from = { sender: String(owner), path: MANAGER_PATH, interface: MANAGER_INTERFACE };
    const listen = (member: string, handler: (body: readonly DBusValue[]) => void) =>
      bus.subscribe({ ...from, member }, handler, options);
    await Promise.all([
      listen("UnitRemoved", ([name]) => signals.#unitRemoved(name)),
      listen("JobRemoved", (body) => signals.#jobRemoved(body)),
      listen("Reloading", ([active]) => signals.#reload(active === true)),
      bus.call({ destination: MANAGER_NAME, ...from, member: "Subscribe" }, options),
    ]);
    return signals;
  }

  #unitRemoved(name: DBusValue | undefined): void {
    const unit = parseUnitName(String(name));
    if (unit !== undefined && !this.#reloading) this.unitRemoved.emit(unit);
  }

  /** A reload announces every unit as removed and as new again, those that run too. */
  #reload(active: boolean): void {
    this.#reloading = active;
    if (!active) this.reloaded.emit();
  }

  #jobRemoved([, path, name, result]: readonly DBusValue[]): void {
    const unit = parseUnitName(String(name));
    if (unit === undefined) return;
    this.jobRemoved.emit({ path: String(path), unit, result: String(result) });
  }
}

function managerLeft(): CicdError {
  return new CicdError("systemd_unavailable", "The user's service manager has left the bus");
}
