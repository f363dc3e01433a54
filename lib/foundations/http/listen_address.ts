/**
 * Addresses to listen on, as configured.
 *
 * @module
 */
import { isIP } from "node:net";
import { CicdError } from "@lib/core/errors.ts";

/** A host and a port. */
export interface ListenAddress {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Parses `HOST:PORT`, `[IPV6]:PORT`, or a port alone, which means loopback.
 *
 * @throws {CicdError} `invalid_config`
 */
export function parseListenAddress(text: string): ListenAddress {
  const [, bracketed, bare, digits = ""] = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(\d{1,5})$/
    .exec(text) ?? [];
  const port = Number(digits);
  const isWrongIp = bracketed !== undefined && isIP(bracketed) !== 6;
  if (digits === "" || port < 1 || port > 65_535 || isWrongIp) {
    throw new CicdError(
      "invalid_config",
      `Cannot listen on "${text}": give listen.address as HOST:PORT with a port from 1 to 65535, ` +
        "such as 127.0.0.1:8080 or [::1]:8080",
    );
  }
  const host = bracketed ?? bare ?? "";
  return { host: host === "" ? "127.0.0.1" : host, port };
}

/** Returns true if only this machine can reach a host; of names, only `localhost` counts. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^::ffff:(?=\d+\.)/i, "");
  if (isIP(address) === 4) return address.startsWith("127.");
  if (isIP(address) === 6) return /^(0{0,4}:){2,7}0{0,3}1$/.test(address);
  return address.toLowerCase() === "localhost";
}
