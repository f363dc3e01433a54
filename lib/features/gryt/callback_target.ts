/**
 * Where a callback may go.
 *
 * The address comes from a request, and the runner stands where others cannot
 * reach: without a rule it would carry their requests to this machine and its
 * neighbours.
 *
 * @module
 */
/** Longest address, in characters. */
const MAX_CHARS = 2_048;

/** Where a callback goes, and by which rule. */
export type CallbackTarget =
  /** `trusted`: the configuration names it, so any address behind the name will do. */
  | { readonly kind: "allowed"; readonly url: URL; readonly trusted: boolean }
  /** `why` continues a sentence whose subject is the address; it holds nothing of it. */
  | { readonly kind: "refused"; readonly why: string };

/** Checks the text of an address. */
export function checkCallback(text: string, prefixes: readonly string[]): CallbackTarget {
  if (text.length > MAX_CHARS) return refused(`is longer than ${MAX_CHARS} characters`);
  const url = parseUrl(text);
  if (url === undefined) return refused("is no http:// or https:// address");
  if (url.username !== "" || url.password !== "") return refused("holds credentials");
  if (prefixes.length === 0) return { kind: "allowed", url, trusted: false };
  return prefixes.some((prefix) => isBelow(url, parseUrl(prefix)))
    ? { kind: "allowed", url, trusted: true }
    : refused("is not among gryt.callbacks");
}

function parseUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  return url?.protocol === "http:" || url?.protocol === "https:" ? url : undefined;
}

/** Compared as addresses: as text, `https://ci.example` would also allow `https://ci.example.evil`. */
function isBelow(url: URL, prefix: URL | undefined): boolean {
  if (prefix === undefined || url.origin !== prefix.origin) return false;
  const directory = prefix.pathname.endsWith("/") ? prefix.pathname : `${prefix.pathname}/`;
  return url.pathname === prefix.pathname || url.pathname.startsWith(directory);
}

function refused(why: string): CallbackTarget {
  return { kind: "refused", why };
}
