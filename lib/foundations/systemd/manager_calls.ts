/**
 * Single calls to the service manager, and what its answers mean.
 *
 * @module
 */
import type { BusConnection } from "@lib/foundations/systemd/dbus/connection.ts";
import { isDBusError } from "@lib/foundations/systemd/dbus/error.ts";
import { type DBusValue, isList, isVariant } from "@lib/foundations/systemd/dbus/wire.ts";
import { parseUnitName, type UnitName } from "@lib/foundations/systemd/unit_name.ts";

/** What a unit is doing. */
export interface UnitState {
  /** Such as `loaded` or `not-found`. */
  readonly loadState: string;
  /** Such as `active`, `activating`, `deactivating`, `inactive`, `failed`. */
  readonly activeState: string;
  /** Such as `running`, `stop-sigterm`, `stop-post`, `dead`. */
  readonly subState: string;
  /** For services: `success`, `exit-code`, `timeout`, `oom-kill` … */
  readonly result?: string;
}

/** One unit of a list. */
export interface ListedUnit extends UnitState {
  readonly name: UnitName;
  readonly description: string;
}

/** A listed unit with its place on the bus. */
export interface UnitRow extends ListedUnit {
  /** The unit's object path. */
  readonly path: string;
}

/** The service manager's name on the bus. */
export const MANAGER_NAME = "org.freedesktop.systemd1";
/** The manager object's path. */
export const MANAGER_PATH = "/org/freedesktop/systemd1";
/** The manager object's interface. */
export const MANAGER_INTERFACE = `${MANAGER_NAME}.Manager`;

/** Whether the thrown says that a unit is not loaded, or was unloaded a moment ago. */
export function isMissing(thrown: unknown): boolean {
  return isDBusError(
    thrown,
    `${MANAGER_NAME}.NoSuchUnit`,
    "org.freedesktop.DBus.Error.UnknownObject",
  );
}

/** Calls to one manager. */
export class ManagerCalls {
  readonly #bus: BusConnection;

  constructor(bus: BusConnection) {
    this.#bus = bus;
  }

  /** Calls a method of the manager object. */
  call(
    member: string,
    signature: string,
    body: readonly DBusValue[],
    signal: AbortSignal,
  ): Promise<readonly DBusValue[]> {
    return this.#bus.call({
      destination: MANAGER_NAME,
      path: MANAGER_PATH,
      interface: MANAGER_INTERFACE,
      member,
      signature,
      body,
    }, { signal });
  }

  /**
   * Reads a property.
   *
   * @param kind The interface without the manager's name: `Unit`, `Service` …
   */
  async property(
    path: string,
    kind: string,
    name: string,
    signal: AbortSignal,
  ): Promise<DBusValue | undefined> {
    const [variant] = await this.#bus.call({
      destination: MANAGER_NAME,
      path,
      interface: "org.freedesktop.DBus.Properties",
      member: "Get",
      signature: "ss",
      body: [`${MANAGER_NAME}.${kind}`, name],
    }, { signal });
    return isVariant(variant) ? variant.value : undefined;
  }

  /** Lists the loaded units whose name fits the glob. */
  async list(pattern: string, signal: AbortSignal): Promise<readonly UnitRow[]> {
    const [rows] = await this.call("ListUnitsByPatterns", "asas", [[], [pattern]], signal);
    return (isList(rows) ? rows : []).flatMap(parseRow);
  }
}

/** The interface that has the resource properties of a unit. */
export function unitInterface(name: UnitName): string {
  const type = name.slice(name.lastIndexOf(".") + 1);
  return type.slice(0, 1).toUpperCase() + type.slice(1);
}

function parseRow(row: DBusValue): readonly UnitRow[] {
  const texts = isList(row) ? row.map(String) : [];
  const [text = "", description = "", loadState = "", activeState = "", subState = ""] = texts;
  const name = parseUnitName(text);
  if (name === undefined) return [];
  return [{ name, description, loadState, activeState, subState, path: texts[6] ?? "" }];
}
