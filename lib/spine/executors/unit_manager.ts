/**
 * The unit executor's port to the service manager.
 *
 * @module
 */
import type { UserManager } from "@lib/foundations/systemd/manager.ts";

/** A connection to the service manager; {@linkcode UserManager} documents the methods. */
export interface UnitManager extends
  Pick<
    UserManager,
    | "startTransientService"
    | "stopUnit"
    | "terminatingProcesses"
    | "unitExists"
    | "controlGroup"
    | "readLimits"
    | "readUsage"
    | "setRuntimeProperties"
    | "onUnitRemoved"
    | "onReloaded"
    | "environmentNames"
  >,
  AsyncDisposable {
  /** Resolves when the connection is closed, for whatever reason. */
  readonly closed: Promise<unknown>;
}
