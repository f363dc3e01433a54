/**
 * The maintainer that packages name.
 *
 * @module
 */

/** Named by packages that are made to be tried here, and for nobody else. */
const NOBODY = "nobody <nobody@localhost>";

/**
 * Returns the maintainer.
 *
 * @throws {TypeError} If a release that is to be downloaded has none, or it is no name and address.
 */
export function requireMaintainer(
  { maintainer, baseUrl }: {
    readonly maintainer: string | undefined;
    readonly baseUrl: string | undefined;
  },
): string {
  if (maintainer === undefined || maintainer === "") {
    if (baseUrl === undefined) return NOBODY;
    throw new TypeError(
      "Cannot publish packages without a maintainer; " +
        'state it with --maintainer "NAME <ADDRESS>", or in CICD_TOOLKIT_MAINTAINER',
    );
  }
  if (/^[^<>\n,]*[^<>\n, ] <[^<>@\s]+@[^<>@\s]+>$/.test(maintainer)) return maintainer;
  throw new TypeError(`Cannot name the maintainer "${maintainer}": it is not NAME <ADDRESS>`);
}
