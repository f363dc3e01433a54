/**
 * Signals that the service manager sends.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import {
  BUS,
  type BusConnection,
  type CallOptions,
} from "@lib/foundations/systemd/dbus/connection.ts";
import type { DBusValue } from "@lib/foundations/systemd/dbus/types.ts";
import { parseUnitName, type UnitName } from "@lib/foundations/systemd/unit_name.ts";

/** The service manager's name on the bus. */
export const MANAGER_NAME = "org.freedesktop.systemd1";
/** The manager object. */
export const MANAGER = {
  path: "/org/freedesktop/systemd1",
  interface: `${MANAGER_NAME}.Manager`,
} as const;

/** A finished job of the manager's queue: a start, a stop. */
export interface FinishedJob {
  /** The job's object path. */
  readonly path: string;
  readonly unit: UnitName;
  /** `done`, `failed`, `canceled`, `timeout`, `dependency`, `skipped`, `assert` … */
  readonly result: string;
}

/** Callbacks for one kind of event, each active until it is disposed. */
class Listeners<T> {
  readonly #callbacks = new Set<(event: T) => void>();

  /** Adds a callback; it must not throw. */
  add(callback: (event: T) => void): Disposable {
    const own = (event: T) => callback(event);
    this.#callbacks.add(own);
    return { [Symbol.dispose]: () => void this.#callbacks.delete(own) };
  }

  emit(event: T): void {
    for (const callback of [...this.#callbacks]) callback(event);
  }
}

/** The signals of one manager, starting at {@linkcode ManagerSignals.subscribe}. */
export class ManagerSignals {
  readonly unitRemoved = new Listeners<UnitName>();
  readonly jobRemoved = new Listeners<FinishedJob>();
  readonly reloaded = new Listeners<void>();
  #reloading = false;

  private constructor() {}

  /**
   * Subscribes, and ends the connection when the manager leaves the bus, since
   * its successor does not know the subscription. A direct connection ends by itself.
   *
   * @throws {CicdError} `systemd_unavailable` if no manager is on the bus.
   */
  static async subscribe(bus: BusConnection, signal: AbortSignal): Promise<ManagerSignals> {
    const signals = new ManagerSignals();
    const options = { signal };
    const owner = bus.isDirect ? MANAGER_NAME : await ownerOf(bus, options);
    const listen = (member: string, handler: (body: readonly DBusValue[]) => void) =>
      bus.subscribe({ sender: owner, ...MANAGER, member }, handler, options);
    await Promise.all([
      listen("UnitRemoved", ([name]) => signals.#unitRemoved(name)),
      listen("JobRemoved", (body) => signals.#jobRemoved(body)),
      listen("Reloading", ([active]) => signals.#reload(active === true)),
      bus.call({ destination: MANAGER_NAME, ...MANAGER, member: "Subscribe" }, options),
    ]);
    return signals;
  }

  #unitRemoved(name: DBusValue | undefined): void {
    const unit = parseUnitName(String(name));
    if (unit !== undefined && !this.#reloading) this.unitRemoved.emit(unit);
  }

  /** A reload announces every unit, running ones included, as removed and as new again. */
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

/** Returns the manager's own name on a bus; ends the connection when it leaves. */
async function ownerOf(bus: BusConnection, options: CallOptions): Promise<string> {
  const { destination: sender, ...busObject } = BUS;
  const ownerCall = { ...BUS, member: "GetNameOwner", signature: "s", body: [MANAGER_NAME] };
  const ownerChanged = { sender, ...busObject, member: "NameOwnerChanged", arg0: MANAGER_NAME };
  const left = new CicdError("systemd_unavailable", "The user's service manager left the bus");
  const [[owner]] = await Promise.all([
    bus.call(ownerCall, options),
    bus.subscribe(ownerChanged, () => bus.abandon(left), options),
  ]);
  return String(owner);
}
