/**
 * The state of a unit, and the reason in it why the unit does not run.
 *
 * @module
 */
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";

/** The state of a service or socket. */
export interface UnitState {
  /** systemd's `LoadState`. */
  readonly load: string;
  /** systemd's `ActiveState`. */
  readonly active: string;
  /** systemd's `SubState`. */
  readonly sub: string;
  /** systemd's `Result`. */
  readonly result: string;
  /** How the main process ended: `ExecMainCode` (0: it has not), `ExecMainStatus`. */
  readonly exit: { readonly code: number; readonly status: number };
}

/** `si_code` of a process that exited by itself; otherwise a signal killed it. */
const CLD_EXITED = 1;

/** Exit statuses of processes that systemd could not prepare or execute: systemd.exec(5). */
const PREPARATION = new Map([
  [200, "CHDIR"],
  [201, "NICE"],
  [202, "FDS"],
  [203, "EXEC"],
  [204, "MEMORY"],
  [205, "LIMITS"],
  [208, "STDIN"],
  [209, "STDOUT"],
  [214, "SETSCHEDULER"],
  [216, "GROUP"],
  [217, "USER"],
  [218, "CAPABILITIES"],
  [219, "CGROUP"],
  [222, "STDERR"],
  [226, "NAMESPACE"],
  [227, "NO_NEW_PRIVILEGES"],
  [228, "SECCOMP"],
  [233, "RUNTIME_DIRECTORY"],
  [238, "STATE_DIRECTORY"],
  [239, "CACHE_DIRECTORY"],
  [240, "LOGS_DIRECTORY"],
  [241, "CONFIGURATION_DIRECTORY"],
]);

/**
 * Returns why a unit does not run, such as `cicd-agent@web.service: failed (exit-code, status
 * 203/EXEC)`; `undefined` if it runs, could run, or does not exist.
 */
export function faultOfUnit(name: UnitName, state: UnitState): string | undefined {
  const { load, active, sub, result, exit } = state;
  if (load === "not-found") return undefined;
  if (load !== "loaded") return `${name}: ${load}`;
  if (active === "active" || (active === "inactive" && result === "success")) return undefined;
  if (result === "success") return `${name}: ${active} (${sub})`;
  const reasons = [
    ...(sub === active || active === "inactive" ? [] : [sub]),
    result,
    ...(exit.code === 0
      ? []
      : exit.code === CLD_EXITED
      ? [`status ${nameOfStatus(exit.status)}`]
      : [`signal ${exit.status}`]),
  ];
  return `${name}: ${active} (${reasons.join(", ")})`;
}

function nameOfStatus(status: number): string {
  const name = PREPARATION.get(status);
  return name === undefined ? String(status) : `${status}/${name}`;
}
