/**
 * Unit names: systemd's escaping, and the names this suite gives.
 *
 * @module
 */
import { type JobId, parseJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";

declare const brand: unique symbol;
/** A unit's full name, such as `cicd-agent@web.service`. */
export type UnitName = string & { readonly [brand]: "UnitName" };

/** The slice above every project's slice. */
export const SUITE_SLICE = "cicd.slice" as UnitName;

/** Longest unit name in bytes. */
const MAX_UNIT_NAME_BYTES = 255;

const UNIT_TYPES = "service|socket|target|device|mount|automount|swap|timer|path|slice|scope";

/** Reads a unit name; `undefined` if the text is none. */
export function parseUnitName(text: string): UnitName | undefined {
  if (text.length > MAX_UNIT_NAME_BYTES) return undefined;
  const valid = new RegExp(`^[A-Za-z0-9:_.\\\\-][A-Za-z0-9:_.\\\\@-]*\\.(?:${UNIT_TYPES})$`);
  return valid.test(text) ? text as UnitName : undefined;
}

/**
 * Escapes text for use inside a unit name, as `systemd-escape` does.
 *
 * `/` becomes `-`; every byte that a unit name cannot hold, `-`, `\`, and a
 * leading `.` become `\xNN`.
 */
export function escapeUnitName(text: string): string {
  let escaped = "";
  for (const byte of new TextEncoder().encode(text)) {
    const char = String.fromCharCode(byte);
    if (char === "/") escaped += "-";
    else if (/[A-Za-z0-9:_]/.test(char) || (char === "." && escaped !== "")) escaped += char;
    else escaped += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return escaped;
}

/** Reverts {@linkcode escapeUnitName}; `undefined` if the text is no escaped UTF-8. */
export function unescapeUnitName(escaped: string): string | undefined {
  if (/\\(?!x[0-9a-fA-F]{2})/.test(escaped)) return undefined;
  const bytes: number[] = [];
  for (const [part, hex] of escaped.matchAll(/\\x([0-9a-fA-F]{2})|[^]/gu)) {
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else bytes.push(...new TextEncoder().encode(part === "-" ? "/" : part));
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(new Uint8Array(bytes));
  } catch {
    return undefined;
  }
}

/** The unit of one attempt; its name is the key that refuses a second start. */
export function jobUnitName(attempt: { readonly jobId: JobId; readonly number: number }): UnitName {
  return `cicd-job-${attempt.jobId}-${attempt.number}.service` as UnitName;
}

/** The attempt whose unit this is; `undefined` for any other unit. */
export function parseJobUnitName(
  name: string,
): { readonly jobId: JobId; readonly number: number } | undefined {
  const [, id, number] = /^cicd-job-(.{36})-([1-9]\d{0,8})\.service$/.exec(name) ?? [];
  const jobId = parseJobId(id ?? "");
  return jobId === undefined ? undefined : { jobId, number: Number(number) };
}

/** Glob over the units of all attempts, for `listUnits`. */
export const JOB_UNITS_PATTERN = "cicd-job-*.service";

/** The slice of everything a project runs. A dash nests slices, hence the escaping. */
export function projectSliceName(project: ProjectName): UnitName {
  return `cicd-${escapeUnitName(project)}.slice` as UnitName;
}

/** The project whose slice this is; `undefined` for any other unit. */
export function parseProjectSliceName(name: string): ProjectName | undefined {
  const [, escaped] = /^cicd-([^-]+)\.slice$/.exec(name) ?? [];
  if (escaped === undefined) return undefined;
  return parseProjectName(unescapeUnitName(escaped) ?? "");
}

/** The service of a project's agent; the project stands in it as it is (`%i`). */
export function agentServiceName(project: ProjectName): UnitName {
  return `cicd-agent@${project}.service` as UnitName;
}

/** The socket of a project's agent. */
export function agentSocketName(project: ProjectName): UnitName {
  return `cicd-agent@${project}.socket` as UnitName;
}

/** The project whose agent's service or socket this is; `undefined` for any other unit. */
export function parseAgentUnitName(name: string): ProjectName | undefined {
  const [, project] = /^cicd-agent@(.+)\.(?:service|socket)$/.exec(name) ?? [];
  return parseProjectName(project ?? "");
}
