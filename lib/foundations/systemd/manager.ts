/**
 * The user's service manager, over one bus connection.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import {
  BusConnection,
  type ConnectionEnd,
  connectionError,
} from "@lib/foundations/systemd/dbus/connection.ts";
import { isDBusError } from "@lib/foundations/systemd/dbus/message.ts";
import {
  type BusEnvironment,
  busSocketPaths,
  type ByteStream,
  openSocket,
} from "@lib/foundations/systemd/dbus/stream.ts";
import { type DBusValue, isList, isVariant } from "@lib/foundations/systemd/dbus/types.ts";
import {
  type FinishedJob,
  MANAGER,
  MANAGER_NAME,
  ManagerSignals,
} from "@lib/foundations/systemd/manager_signals.ts";
import {
  decodeProperties,
  LIMIT_PROPERTIES,
  type ResourceLimits,
  type ResourceProperty,
  type ResourceUsage,
  USAGE_PROPERTIES,
} from "@lib/foundations/systemd/resource_limits.ts";
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";
import type { UnitState } from "@lib/foundations/systemd/unit_state.ts";
import type { UnitProperty } from "@lib/foundations/systemd/unit_property.ts";

/**
 * A client of `systemd --user`.
 *
 * Every call waits at most 25 s for its reply. When the bus or the service
 * manager disappears, calls reject with `systemd_unavailable` and `closed`
 * resolves; the owner then reconnects. A daemon-reload does not end the connection.
 */
export class UserManager implements AsyncDisposable {
  readonly #bus: BusConnection;
  readonly #signals: ManagerSignals;

  private constructor(bus: BusConnection, signals: ManagerSignals) {
    this.#bus = bus;
    this.#signals = signals;
  }

  /**
   * Connects, and subscribes to the manager's signals.
   *
   * @throws {CicdError} `systemd_unavailable` if there is no bus, or no service
   * manager on it.
   */
  static async connect(env: BusEnvironment, signal: AbortSignal): Promise<UserManager> {
    return await UserManager.over(await openSocket(busSocketPaths(env), signal), signal);
  }

  /**
   * Like {@linkcode UserManager.connect}, over the manager's own socket, without a bus.
   *
   * The socket is no promise of systemd, and sends each connection every signal.
   *
   * @throws {CicdError} `systemd_unavailable` if there is none, or it is another than known.
   */
  static async connectDirectly(env: BusEnvironment, signal: AbortSignal): Promise<UserManager> {
    const stream = await openSocket([`${env.XDG_RUNTIME_DIR ?? ""}/systemd/private`], signal);
    return await UserManager.over(stream, signal, { isDirect: true });
  }

  /** Like {@linkcode UserManager.connect}, over a stream to the bus; takes ownership of it. */
  static async over(
    stream: ByteStream,
    signal: AbortSignal,
    options: { readonly isDirect?: boolean } = {},
  ): Promise<UserManager> {
    const bus = await BusConnection.open(stream, signal, options);
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
   * Calls back with the name of each unloaded unit: stopped, its `ExecStopPost=`
   * done, its cgroup removed. Units unloaded during a daemon-reload are not
   * announced: check again at {@linkcode UserManager.onReloaded}.
   */
  onUnitRemoved(callback: (name: UnitName) => void): Disposable {
    return this.#signals.unitRemoved.add(callback);
  }

  /** Calls back with each finished job of the manager's queue. */
  onJobRemoved(callback: (job: FinishedJob) => void): Disposable {
    return this.#signals.jobRemoved.add(callback);
  }

  /** Calls back after each daemon-reload; units may have been unloaded unannounced. */
  onReloaded(callback: () => void): Disposable {
    return this.#signals.reloaded.add(callback);
  }

  /**
   * Creates and starts a transient service.
   *
   * Resolves when the start is queued, not when the program runs.
   *
   * @returns `exists` if a unit of that name is already loaded.
   * @throws {DBusError} `executor_failed` if systemd refuses the properties.
   */
  async startTransientService(
    name: UnitName,
    properties: readonly UnitProperty[],
    signal: AbortSignal,
  ): Promise<"started" | "exists"> {
    try {
      const body = [name, "fail", propertyList(properties), []];
      await this.#call("StartTransientUnit", "ssa(sv)a(sa(sv))", body, signal);
      return "started";
    } catch (error) {
      if (isDBusError(error, `${MANAGER_NAME}.UnitExists`)) return "exists";
      throw error;
    }
  }

  /**
   * Starts a unit and waits until the start is complete.
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
    const [job] = await this.#call("StartUnit", "ss", [name, "replace"], signal);
    const path = String(job);
    awaited.add(path);
    const early = finished.get(path);
    if (early !== undefined) return early;
    const lost = this.closed.then((end) => Promise.reject(connectionError(end)));
    return await raceAbort(Promise.race([over.promise, lost]), signal);
  }

  /** Queues the stop of a unit; a unit that is not loaded is not an error. */
  async stopUnit(name: UnitName, signal: AbortSignal): Promise<void> {
    await ifLoaded(this.#call("StopUnit", "ss", [name, "replace"], signal));
  }

  /**
   * Lists the processes of a service that has been sent SIGTERM; none if it is in another state.
   *
   * So none of them is its `ExecStopPost=`: that comes between the two signals, the second of which
   * is for what outlives the main process.
   *
   * @returns `undefined` if it is not loaded.
   */
  async terminatingProcesses(
    name: UnitName,
    signal: AbortSignal,
  ): Promise<readonly number[] | undefined> {
    const [path] = await ifLoaded(this.#call("GetUnit", "s", [name], signal)) ?? [];
    if (path === undefined) return undefined;
    // The manager answers in this order: it is still in that state after they were listed.
    const [list, state] = await Promise.all([
      ifLoaded(this.#call("GetUnitProcesses", "s", [name], signal)),
      ifLoaded(this.#property(String(path), "Unit", "SubState", signal)),
    ]);
    const processes = list?.[0];
    if (!isList(processes)) return undefined;
    if (state !== "stop-sigterm" && state !== "final-sigterm") return [];
    return processes.map((process) => isList(process) ? Number(process[1]) : 0)
      .filter((pid) => pid > 1);
  }

  /** Clears the failed state of a unit; a unit that is not loaded is not an error. */
  async resetFailed(name: UnitName, signal: AbortSignal): Promise<void> {
    await ifLoaded(this.#call("ResetFailedUnit", "s", [name], signal));
  }

  /** Returns true if a unit of that name is loaded. */
  async unitExists(name: UnitName, signal: AbortSignal): Promise<boolean> {
    return await ifLoaded(this.#call("GetUnit", "s", [name], signal)) !== undefined;
  }

  /** Returns the path of a service's cgroup; `undefined` if it is not loaded, or has none now. */
  async controlGroup(name: UnitName, signal: AbortSignal): Promise<string | undefined> {
    const [path] = await ifLoaded(this.#call("GetUnit", "s", [name], signal)) ?? [];
    if (path === undefined) return undefined;
    const group = await ifLoaded(this.#property(String(path), "Service", "ControlGroup", signal));
    return typeof group === "string" && group !== "" ? group : undefined;
  }

  /** Returns true if systemd has a unit file of that name, or of its template. */
  async hasUnitFile(name: UnitName, signal: AbortSignal): Promise<boolean> {
    const [path] = await this.#call("LoadUnit", "s", [name], signal);
    return await this.#property(String(path), "Unit", "LoadState", signal) === "loaded";
  }

  /** Reads the state of a service or socket, which is loaded if necessary. */
  async readState(name: UnitName, signal: AbortSignal): Promise<UnitState> {
    const [path] = await this.#call("LoadUnit", "s", [name], signal);
    const isService = name.endsWith(".service");
    const kind = isService ? "Service" : "Socket";
    const read = (from: string, property: string) =>
      this.#property(String(path), from, property, signal);
    const [load, active, sub, result, code = 0, status = 0] = await Promise.all([
      ...["LoadState", "ActiveState", "SubState"].map((property) => read("Unit", property)),
      ...["Result", ...(isService ? ["ExecMainCode", "ExecMainStatus"] : [])]
        .map((property) => read(kind, property)),
    ]);
    return {
      load: String(load),
      active: String(active),
      sub: String(sub),
      result: String(result),
      exit: { code: Number(code), status: Number(status) },
    };
  }

  /**
   * Reads the limits of a service or slice, which is loaded if necessary.
   *
   * The manager's default number of tasks, which it gives to every service, counts as no limit.
   *
   * @throws {DBusError} If there is no such unit.
   */
  async readLimits(name: UnitName, signal: AbortSignal): Promise<ResourceLimits> {
    const limits: ResourceLimits = await this.#resources(name, LIMIT_PROPERTIES, signal);
    const { tasksMax, ...others } = limits;
    if (tasksMax === undefined || !name.endsWith(".service")) return limits;
    const usual = await this.#property(MANAGER.path, "Manager", "DefaultTasksMax", signal);
    return usual === BigInt(tasksMax) ? others : limits;
  }

  /** Reads the current resource usage of a service or slice and everything below it. */
  readUsage(name: UnitName, signal: AbortSignal): Promise<ResourceUsage> {
    return this.#resources(name, USAGE_PROPERTIES, signal);
  }

  /** Changes properties of a loaded unit until it is unloaded. */
  async setRuntimeProperties(
    name: UnitName,
    properties: readonly UnitProperty[],
    signal: AbortSignal,
  ): Promise<void> {
    const body = [name, true, propertyList(properties)];
    await this.#call("SetUnitProperties", "sba(sv)", body, signal);
  }

  /** Lists the names of the variables that the manager passes to every unit. */
  async environmentNames(signal: AbortSignal): Promise<readonly string[]> {
    const value = await this.#property(MANAGER.path, "Manager", "Environment", signal);
    const assignments = isList(value) ? value : [];
    return assignments.map((assignment) => String(assignment).split("=", 1)[0] ?? "");
  }

  /** Disconnects, which changes nothing in the manager. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus[Symbol.asyncDispose]();
  }

  async #resources(
    name: UnitName,
    table: readonly ResourceProperty[],
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, number>>> {
    const [path] = await this.#call("LoadUnit", "s", [name], signal);
    const type = name.slice(name.lastIndexOf(".") + 1);
    const kind = type.slice(0, 1).toUpperCase() + type.slice(1);
    const read = ([property]: ResourceProperty) =>
      this.#property(String(path), kind, property, signal);
    return decodeProperties(table, await Promise.all(table.map(read)));
  }

  #call(
    member: string,
    signature: string,
    body: readonly DBusValue[],
    signal: AbortSignal,
  ): Promise<readonly DBusValue[]> {
    const call = { ...MANAGER, destination: MANAGER_NAME, member, signature, body };
    return this.#bus.call(call, { signal });
  }

  /** @param kind The interface without the manager's name: `Unit`, `Service` … */
  async #property(
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
}

function propertyList(properties: readonly UnitProperty[]): readonly DBusValue[] {
  return properties.map(({ name, value }) => [name, value]);
}

/** Turns the refusal of a unit that is not loaded, or was just unloaded, into `undefined`. */
async function ifLoaded<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    const names = [`${MANAGER_NAME}.NoSuchUnit`, "org.freedesktop.DBus.Error.UnknownObject"];
    if (isDBusError(error, ...names)) return undefined;
    throw error;
  }
}
