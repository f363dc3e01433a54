/**
 * The names and texts of a release's files, as `tools/release.ts` makes them and `install.sh` reads
 * them.
 *
 * @module
 */

const PLATFORMS: ReadonlyMap<string, string> = new Map([
  ["x86_64-unknown-linux-gnu", "linux-amd64"],
  ["aarch64-unknown-linux-gnu", "linux-arm64"],
  ["x86_64-apple-darwin", "darwin-amd64"],
  ["aarch64-apple-darwin", "darwin-arm64"],
]);

/** The platforms of a release. */
export const RELEASE_TARGETS: readonly string[] = [...PLATFORMS.keys()];

/** Returns the short name of a target, as in the names of a release's files: `linux-amd64`. */
export function platformName(target: string): string {
  return PLATFORMS.get(target) ?? target;
}

/** Returns the name of a release's archive. */
export function archiveName(target: string): string {
  return `cicd-toolkit-${platformName(target)}.tar.gz`;
}

/** SHA-256 in hex, by the name of the file. */
export type Checksums = ReadonlyMap<string, string>;

/**
 * Parses what sha256sum(1) wrote; lines that begin with "#" are comments.
 *
 * @throws {SyntaxError} If a line is no checksum.
 */
export function parseChecksums(text: string): Checksums {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const [, sum, name] = /^([0-9a-f]{64}) [ *](\S.*)$/.exec(line) ?? [];
    if (sum === undefined || name === undefined) {
      throw new SyntaxError(
        `Cannot read the checksum "${line.slice(0, 100)}": it is not a line of sha256sum`,
      );
    }
    return [name, sum];
  }));
}

/** Returns the version that a release's `install.sh` installs; `undefined` if it names none. */
export function versionOfInstaller(text: string): string | undefined {
  return /^default_version='([A-Za-z0-9.+-]+)'$/m.exec(text)?.[1];
}

/**
 * Returns the address of a release's files.
 *
 * @param base May contain `{version}`.
 * @param version `undefined`: the latest release. `{version}` becomes `latest` then; of GitHub's
 * `/releases/download/v{version}`, it is `/releases/latest/download`.
 */
export function releaseUrl(base: string, version: string | undefined): string {
  const address = base.replace(/\/+$/, "");
  if (version !== undefined) return address.replaceAll("{version}", version);
  return address
    .replace(/\/releases\/download\/v?\{version\}/, "/releases/latest/download")
    .replaceAll("{version}", "latest");
}

/**
 * Compares two versions, as semver orders them.
 *
 * @returns Less than 0 if `a` is older, more than 0 if it is newer.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  const core = compareLists(left.core, right.core);
  if (core !== 0) return core;
  // What comes before a release is older than that.
  if (left.before.length === 0 || right.before.length === 0) {
    return right.before.length - left.before.length;
  }
  return compareLists(left.before, right.before);
}

function partsOf(version: string) {
  const [known = ""] = version.split("+");
  const [core = "", ...before] = known.split("-");
  const list = before.join("-");
  return { core: core.split("."), before: list === "" ? [] : list.split(".") };
}

function compareLists(a: readonly string[], b: readonly string[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [left, right] = [a[at], b[at]];
    if (left === right) continue;
    if (left === undefined) return -1;
    if (right === undefined) return 1;
    const isNumber = [left, right].map((part) => /^\d+$/.test(part));
    if (isNumber[0] === true && isNumber[1] === true) {
      const difference = Number(left) - Number(right);
      if (difference !== 0) return difference;
    } else if (isNumber[0] !== isNumber[1]) return isNumber[0] === true ? -1 : 1;
    else return left < right ? -1 : 1;
  }
  return 0;
}
