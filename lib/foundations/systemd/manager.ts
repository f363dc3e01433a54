/**
 * The user's service manager, over one kept bus connection.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { type BusEnvironment, busSocketPaths } from "@lib/foundations/systemd/dbus/address.ts";
import {
  BusConnection,
  type ConnectionEnd,
  connectionError,
} from "@lib/foundations/systemd/dbus/connection.ts";
import { isDBusError } from "@lib/foundations/systemd/dbus/error.ts";
import { type ByteStream, openSocket } from "@lib/foundations/systemd/dbus/stream.ts";
import { type DBusValue, isList } from "@lib/foundations/systemd/dbus/wire.ts";
import {
  isMissing,
  type ListedUnit,
  MANAGER_PATH,
  ManagerCalls,
  unitInterface,
  type UnitState,
} from "@lib/foundations/systemd/manager_calls.ts";
import { type FinishedJob, ManagerSignals } from "@lib/foundations/systemd/manager_signals.ts";
import {
  decodeLimits,
  decodeUsage,
  LIMIT_PROPERTIES,
  type ResourceLimits,
  type ResourceUsage,
  USAGE_PROPERTIES,
} from "@lib/foundations/systemd/resource_limits.ts";
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";
import type { UnitProperty } from "@lib/foundations/systemd/unit_property.ts";

/** Options for {@linkcode UserManager.connect}. */
export interface ConnectOptions {
  readonly env: BusEnvironment;
  readonly signal: AbortSignal;
}

/**
 * A client of `systemd --user`.
 *
 * Every call waits 25 s for its reply at most. When the bus or the service
 * manager goes away, calls reject with `systemd_unavailable` and `closed`
 * resolves; the owner then connects anew. A daemon-reload does not end it.
 */
export class UserManager implements AsyncDisposable {
  readonly #bus: BusConnection;
  readonly #remote: ManagerCalls;
  readonly #signals: ManagerSignals;

  private constructor(bus: BusConnection, signals: ManagerSignals) {
    this.#bus = bus;
    this.#remote = new ManagerCalls(bus);
    this.#signals = signals;
  }

  /**
   * Connects, and subscribes to the manager's signals.
   *
   * @throws {CicdError} `systemd_unavailable` if there is no bus, or no service
   * manager on it.
   */
  static async connect(options: ConnectOptions): Promise<UserManager> {
    const { env, signal } = options;
    return await UserManager.over(await openSocket(busSocketPaths(env), signal), signal);
  }

  /** As {@linkcode UserManager.connect}, over a stream that leads to the bus; takes it over. */
  static async over(stream: ByteStream, signal: AbortSignal): Promise<UserManager> {
    const bus = await BusConnection.open(stream, signal);
    try {
      return new UserManager(bus, await ManagerSignals.subscribe(bus, signal));
    } catch (error) {
      await bus[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Resolves when the connection has ended; never rejects. */
  get closed(): Promise<ConnectionEnd> {
    return this.#bus.closed;
  }

  /**
   * Called with the name of each unit that was unloaded: stopped, its
   * `ExecStopPost=` done, its cgroup gone. A unit that goes during a
   * daemon-reload is not announced: look again at {@linkcode UserManager.onReloaded}.
   */
  onUnitRemoved(callback: (name: UnitName) => void): Disposable {
    return this.#signals.unitRemoved.add(callback);
  }

  /** Called with each finished job of the manager's queue and its result. */
  onJobRemoved(callback: (job: FinishedJob) => void): Disposable {
    return this.#signals.jobRemoved.add(callback);
  }

  /** Called after each daemon-reload; units may have gone unannounced meanwhile. */
  onReloaded(callback: () => void): Disposable {
    return this.#signals.reloaded.add(callback);
  }

  /**
   * Creates and starts a transient service.
   *
   * Resolves when the start is queued, not when the program runs.
   *
   * @returns `exists` if a unit of that name is loaded already.
   * @throws {DBusError} `executor_failed` if systemd refuses the properties.
   */
  async startTransientService(
    name: UnitName,
    properties: readonly UnitProperty[],
    signal: AbortSignal,
  ): Promise<"started" | "exists"> {
    try {
      await this.#remote.call("StartTransientUnit", "ssa(sv)a(sa(sv))", [
        name,
        "fail",
        propertyList(properties),
        [],
      ], signal);
      return "started";
    } catch (error) {
      if (isDBusError(error, "org.freedesktop.systemd1.UnitExists")) return "exists";
      throw error;
    }
  }

  /**
   * Starts a unit and waits until the start is over.
   *
   * @returns The job's result: `done`, `failed`, `dependency`, `timeout` …
   */
  async startUnit(name: UnitName, signal: AbortSignal): Promise<string> {
    const finished = new Map<string, string>();
    const awaited = new Set<string>();
    const over = Promise.withResolvers<string>();
    using _listener = this.onJobRemoved(({ path, unit, result }) => {
      if (unit !== name) return;
      finished.set(path, result);
      if (awaited.has(path)) over.resolve(result);
    });
    const [job] = await this.#remote.call("StartUnit", "ss", [name, "replace"], signal);
    const path = String(job);
    awaited.add(path);
    const early = finished.get(path);
    if (early !== undefined) return early;
    const lost = this.closed.then((end) => Promise.reject(connectionError(end)));
    return await raceAbort(Promise.race([over.promise, lost]), signal);
  }

  /** Queues the stop of a unit; one that is not loaded is no error. */
  async stopUnit(name: UnitName, signal: AbortSignal): Promise<void> {
    await tolerateMissing(this.#remote.call("StopUnit", "ss", [name, "replace"], signal));
  }

  /** Sends a signal to every process of a unit; one that is not loaded is no error. */
  async killUnit(name: UnitName, signalNumber: number, signal: AbortSignal): Promise<void> {
    await tolerateMissing(
      this.#remote.call("KillUnit", "ssi", [name, "all", signalNumber], signal),
    );
  }

  /** Forgets that a unit failed; one that is not loaded is no error. */
  async resetFailed(name: UnitName, signal: AbortSignal): Promise<void> {
    await tolerateMissing(this.#remote.call("ResetFailedUnit", "s", [name], signal));
  }

  /** Whether a unit of that name is loaded now. */
  async unitExists(name: UnitName, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#remote.call("GetUnit", "s", [name], signal);
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /** What a unit is doing; `undefined` if it is not loaded. */
  async unitState(name: UnitName, signal: AbortSignal): Promise<UnitState | undefined> {
    const [row] = await this.#remote.list(name, signal);
    if (row === undefined || row.loadState === "not-found") return undefined;
    const { loadState, activeState, subState, path } = row;
    if (!name.endsWith(".service")) return { loadState, activeState, subState };
    try {
      const result = await this.#remote.property(path, "Service", "Result", signal);
      return { loadState, activeState, subState, result: String(result) };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** The loaded units whose name fits the glob. */
  async listUnits(pattern: string, signal: AbortSignal): Promise<readonly ListedUnit[]> {
    const rows = await this.#remote.list(pattern, signal);
    return rows.map(({ path: _path, ...unit }) => unit);
  }

  /**
   * The limits a unit is under; a service or a slice, which is loaded if need be.
   *
   * @throws {DBusError} If there is no such unit.
   */
  async readLimits(name: UnitName, signal: AbortSignal): Promise<ResourceLimits> {
    const [path] = await this.#remote.call("LoadUnit", "s", [name], signal);
    const kind = unitInterface(name);
    return decodeLimits(
      await Promise.all(
        LIMIT_PROPERTIES.map(([property]) =>
          this.#remote.property(String(path), kind, property, signal)
        ),
      ),
    );
  }

  /** What a unit and everything below it use now; a service or a slice. */
  async readUsage(name: UnitName, signal: AbortSignal): Promise<ResourceUsage> {
    const [path] = await this.#remote.call("LoadUnit", "s", [name], signal);
    const kind = unitInterface(name);
    return decodeUsage(
      await Promise.all(
        USAGE_PROPERTIES.map(([property]) =>
          this.#remote.property(String(path), kind, property, signal)
        ),
      ),
    );
  }

  /** Changes properties of a loaded unit until it is unloaded. */
  async setRuntimeProperties(
    name: UnitName,
    properties: readonly UnitProperty[],
    signal: AbortSignal,
  ): Promise<void> {
    const body = [name, true, propertyList(properties)];
    await this.#remote.call("SetUnitProperties", "sba(sv)", body, signal);
  }

  /**
   * A unit's cgroup below the root of the hierarchy; `undefined` while it has none.
   */
  async controlGroup(name: UnitName, signal: AbortSignal): Promise<string | undefined> {
    try {
      const [path] = await this.#remote.call("GetUnit", "s", [name], signal);
      const kind = unitInterface(name);
      const group = await this.#remote.property(String(path), kind, "ControlGroup", signal);
      return group === "" ? undefined : String(group);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Names of the variables that the manager hands to every unit now. */
  async environmentNames(signal: AbortSignal): Promise<readonly string[]> {
    const value = await this.#remote.property(MANAGER_PATH, "Manager", "Environment", signal);
    const assignments = isList(value) ? value : [];
    return assignments.map((assignment) => String(assignment).split("=", 1)[0] ?? "");
  }

  /** The service manager's version, such as `252.39-1~deb12u2`. */
  async version(signal: AbortSignal): Promise<string> {
    return String(await this.#remote.property(MANAGER_PATH, "Manager", "Version", signal));
  }

  /** Disconnects; nothing in the manager changes by it. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus[Symbol.asyncDispose]();
  }
}

function propertyList(properties: readonly UnitProperty[]): readonly DBusValue[] {
  return properties.map(({ name, value }) => [name, value]);
}

async function tolerateMissing(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
