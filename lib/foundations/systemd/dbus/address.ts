/**
 * Where the bus is: D-Bus server addresses.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/** The environment as far as the bus is concerned. */
export interface BusEnvironment {
  readonly DBUS_SESSION_BUS_ADDRESS?: string | undefined;
  readonly XDG_RUNTIME_DIR?: string | undefined;
}

/**
 * Finds the sockets of the user's bus, to be tried in order.
 *
 * @returns Socket paths; one in the abstract namespace begins with a NUL.
 * @throws {CicdError} `systemd_unavailable` if the environment names none.
 */
export function busSocketPaths(env: BusEnvironment): readonly string[] {
  const address = env.DBUS_SESSION_BUS_ADDRESS;
  if (address !== undefined && address !== "") return parseAddresses(address);
  if (env.XDG_RUNTIME_DIR !== undefined && env.XDG_RUNTIME_DIR.startsWith("/")) {
    return [`${env.XDG_RUNTIME_DIR}/bus`];
  }
  throw new CicdError(
    "systemd_unavailable",
    "Cannot find the user's bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set",
  );
}

function parseAddresses(text: string): readonly string[] {
  const paths: string[] = [];
  for (const address of text.split(";")) {
    const [, options] = /^unix:(.*)$/s.exec(address) ?? [];
    for (const option of options?.split(",") ?? []) {
      const [, key, value] = /^(path|abstract)=(.+)$/s.exec(option) ?? [];
      if (value === undefined) continue;
      const path = unescapeValue(value);
      if (path === undefined || path.includes("\0")) throw unusable(text);
      paths.push(key === "abstract" ? `\0${path}` : path);
    }
  }
  if (paths.length === 0) throw unusable(text);
  return paths;
}

function unescapeValue(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

function unusable(text: string): CicdError {
  return new CicdError(
    "systemd_unavailable",
    `Cannot use DBUS_SESSION_BUS_ADDRESS "${text}": it names no unix:path= or unix:abstract=`,
  );
}
