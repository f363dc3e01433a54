/**
 * Where a callback may go.
 *
 * The address comes from a request, and the runner stands where others cannot
 * reach: without a rule it would carry their requests to this machine and its
 * neighbours.
 *
 * @module
 */
import { isIPv4, isIPv6 } from "node:net";

/** Longest address, in characters. */
const MAX_CHARS = 2_048;

/** Where a callback goes, and by which rule. */
export type CallbackTarget =
  /** `trusted`: the configuration names it, so any address behind the name will do. */
  | { readonly kind: "allowed"; readonly url: URL; readonly trusted: boolean }
  /** `why` continues a sentence whose subject is the address; it holds nothing of it. */
  | { readonly kind: "refused"; readonly why: string };

/** Judges the text of an address. */
export function judgeCallback(text: string, prefixes: readonly string[]): CallbackTarget {
  if (text.length > MAX_CHARS) return refused(`is longer than ${MAX_CHARS} characters`);
  const url = parseUrl(text);
  if (url === undefined) return refused("is no http:// or https:// address");
  if (url.username !== "" || url.password !== "") return refused("holds credentials");
  if (prefixes.length === 0) return { kind: "allowed", url, trusted: false };
  return prefixes.some((prefix) => isBelow(url, parseUrl(prefix)))
    ? { kind: "allowed", url, trusted: true }
    : refused("is not among gryt.callbacks");
}

/** Whether an address of the network belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return isPublicV4(address);
  // A zone names a link of this machine.
  return isIPv6(address) && !address.includes("%") && isPublicV6(address);
}

function parseUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  return url?.protocol === "http:" || url?.protocol === "https:" ? url : undefined;
}

/** Compared as addresses: as text, `https://ci.example` would also allow `https://ci.example.evil`. */
function isBelow(url: URL, prefix: URL | undefined): boolean {
  if (prefix === undefined || url.origin !== prefix.origin) return false;
  const folder = prefix.pathname.endsWith("/") ? prefix.pathname : `${prefix.pathname}/`;
  return url.pathname === prefix.pathname || url.pathname.startsWith(folder);
}

/** Networks with a meaning of their own (RFC 6890): first address and length of the prefix. */
const SPECIAL_V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];

function isPublicV4(address: string): boolean {
  const number = toNumber(address);
  return !SPECIAL_V4.some(([first, length]) => {
    const size = 2 ** (32 - length);
    return Math.floor(number / size) === Math.floor(toNumber(first) / size);
  });
}

function toNumber(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Global unicast is 2000::/3; of it, what carries an IPv4 address or documents is left out. */
function isPublicV6(address: string): boolean {
  // The URL parser writes every form in one way.
  const [head = ""] = (URL.parse(`http://[${address}]/`)?.hostname ?? "").slice(1, -1).split("::");
  const groups = head.split(":");
  const first = parseInt(groups[0] ?? "", 16);
  const second = parseInt(groups[1] ?? "0", 16);
  if (!(first >= 0x2000 && first <= 0x3fff)) return false;
  if (first === 0x2001) return second > 0x01ff && second !== 0x0db8;
  if (first === 0x3fff) return second > 0x0fff;
  return first !== 0x2002;
}

function refused(why: string): CallbackTarget {
  return { kind: "refused", why };
}
