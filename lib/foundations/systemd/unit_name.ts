/**
 * Unit names: systemd's escaping, and the names of this suite's units.
 *
 * @module
 */
import type { JobId, ProjectName } from "@lib/core/ids.ts";

declare const brand: unique symbol;
/** A unit's full name, such as `cicd-agent@web.service`. */
export type UnitName = string & { readonly [brand]: "UnitName" };

/** The parent of every project's slice. */
export const SUITE_SLICE = "cicd.slice" as UnitName;

/** Longest unit name in bytes. */
const MAX_UNIT_NAME_BYTES = 255;

const UNIT_TYPES = "service|socket|target|device|mount|automount|swap|timer|path|slice|scope";

/** Parses a unit name; returns `undefined` if it is invalid. */
export function parseUnitName(text: string): UnitName | undefined {
  if (text.length > MAX_UNIT_NAME_BYTES) return undefined;
  const valid = new RegExp(`^[A-Za-z0-9:_.\\\\-][A-Za-z0-9:_.\\\\@-]*\\.(?:${UNIT_TYPES})$`);
  return valid.test(text) ? text as UnitName : undefined;
}

/**
 * Escapes text for use inside a unit name, as `systemd-escape` does.
 *
 * `/` becomes `-`; `-`, `\`, a leading `.` and every byte that is invalid in a unit
 * name become `\xNN`.
 */
function escapeUnitName(text: string): string {
  let escaped = "";
  for (const byte of new TextEncoder().encode(text)) {
    const char = String.fromCharCode(byte);
    if (char === "/") escaped += "-";
    else if (/[A-Za-z0-9:_]/.test(char) || (char === "." && escaped !== "")) escaped += char;
    else escaped += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return escaped;
}

/** Returns the unit of one attempt; its name prevents a second start. */
export function jobUnitName(attempt: { readonly jobId: JobId; readonly number: number }): UnitName {
  return `cicd-job-${attempt.jobId}-${attempt.number}.service` as UnitName;
}

/** Returns the unit that keeps the place of an ended attempt for people. */
export function holdUnitName(
  attempt: { readonly jobId: JobId; readonly number: number },
): UnitName {
  return `cicd-hold-${attempt.jobId}-${attempt.number}.service` as UnitName;
}

/** Returns the unit of a terminal. */
export function terminalUnitName(project: ProjectName, id: string): UnitName {
  return `cicd-terminal-${escapeUnitName(project)}-${id}.service` as UnitName;
}

/** Returns the slice of a project. A dash nests slices, hence the escaping. */
export function projectSliceName(project: ProjectName): UnitName {
  return `cicd-${escapeUnitName(project)}.slice` as UnitName;
}

/** Returns the service of a project's agent; the project is its `%i`, unescaped. */
export function agentServiceName(project: ProjectName): UnitName {
  return `cicd-agent@${project}.service` as UnitName;
}

/** Returns the socket of a project's agent. */
export function agentSocketName(project: ProjectName): UnitName {
  return `cicd-agent@${project}.socket` as UnitName;
}
