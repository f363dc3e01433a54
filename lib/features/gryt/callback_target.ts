/**
 * Checks where a callback may go.
 *
 * The address comes from a request, and the runner can reach hosts that its
 * client cannot: without these rules it would carry requests to this machine
 * and its neighbours.
 *
 * @module
 */
import { isIP } from "node:net";

/** Longest address, in characters. */
const MAX_CHARS = 2_048;

/** The result of {@linkcode checkCallback}. */
export type CallbackTarget =
  /** `trusted`: the configuration lists it, so the name may resolve to any address. */
  | { readonly kind: "allowed"; readonly url: URL; readonly trusted: boolean }
  /** `why` continues a sentence whose subject is the address, and quotes nothing of it. */
  | { readonly kind: "refused"; readonly why: string };

/** Checks the address of a callback against `gryt.callbacks`. */
export function checkCallback(text: string, prefixes: readonly string[]): CallbackTarget {
  if (text.length > MAX_CHARS) return refused(`is longer than ${MAX_CHARS} characters`);
  const url = parseUrl(text);
  if (url === undefined) return refused("is not an http:// or https:// address");
  if (url.username !== "" || url.password !== "") return refused("contains credentials");
  if (prefixes.length === 0) return { kind: "allowed", url, trusted: false };
  return prefixes.some((prefix) => isBelow(url, parseUrl(prefix)))
    ? { kind: "allowed", url, trusted: true }
    : refused("is not among gryt.callbacks");
}

function parseUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  return url?.protocol === "http:" || url?.protocol === "https:" ? url : undefined;
}

/** Compares URLs, not text, in which `https://ci.example` is a prefix of `https://ci.example.evil`. */
function isBelow(url: URL, prefix: URL | undefined): boolean {
  if (prefix === undefined || url.origin !== prefix.origin) return false;
  const directory = prefix.pathname.endsWith("/") ? prefix.pathname : `${prefix.pathname}/`;
  return url.pathname === prefix.pathname || url.pathname.startsWith(directory);
}

function refused(why: string): CallbackTarget {
  return { kind: "refused", why };
}

/**
 * Loads the check of a resolved address: true for a unicast address of the public internet.
 *
 * Refuses every special range: private, local and reserved networks, multicast, and IPv6 addresses
 * that carry an IPv4 address (mapped, NAT64, 6to4, Teredo).
 */
export async function publicAddressCheck(): Promise<(address: string) => boolean> {
  const { default: ipaddr } = await import("ipaddr.js");
  return (address) => {
    // The library also accepts `0x7f.1`, and zones, which name a link of this machine.
    if (isIP(address) === 0 || address.includes("%")) return false;
    const parsed = ipaddr.parse(address);
    // Of IPv6 only 2000::/3 is global unicast; the rest is unassigned or carries IPv4.
    return parsed.range() === "unicast" &&
      (!(parsed instanceof ipaddr.IPv6) || (parsed.parts[0] ?? 0) >> 13 === 1);
  };
}
