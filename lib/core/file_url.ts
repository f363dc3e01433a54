/**
 * File URLs as paths.
 *
 * @module
 */

/** The path of a `file:` URL. @throws {TypeError} If it is none. */
export function fromFileUrl(url: string): string {
  const parsed = new URL(url);
  if (parsed.protocol !== "file:") throw new TypeError(`Not a file URL: ${url}`);
  return decodeURIComponent(parsed.pathname);
}
