/**
 * The installation that is upgraded, as `install.sh` lays it out:
 *
 * ```
 * PREFIX/bin/cicd-runner -> ../lib/cicd-toolkit/current/bin/cicd-runner
 * PREFIX/lib/cicd-toolkit/current -> releases/ID        the one in use
 * PREFIX/lib/cicd-toolkit/previous -> releases/ID       the one before
 * PREFIX/lib/cicd-toolkit/releases/ID/{bin,lib}
 * PREFIX/lib/cicd-toolkit/origin                        where the release came from
 * ```
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { readIfThere } from "@lib/foundations/files/records.ts";
import { type BuildInfo, parseBuildInfo } from "@lib/features/install/build_info.ts";

/** An installation by `install.sh`. */
export interface Installation {
  readonly prefix: string;
  /** `PREFIX/lib/cicd-toolkit`. */
  readonly home: string;
}

/** The directory of a release. */
export interface Release {
  /** Its directory's name: the version, and a digest of its files. */
  readonly id: string;
  readonly path: string;
  readonly info: BuildInfo;
}

/** Where `origin` says that the release came from. */
export interface Origin {
  readonly url: string | undefined;
  readonly publicKey: string | undefined;
}

/**
 * Returns the installation that a program belongs to.
 *
 * @param libDir The directory of the program's files; `undefined` in a checkout.
 * @throws {CicdError} `usage` if it is none that can be upgraded in place; the message says how it is.
 */
export function installationOf(libDir: string | undefined): Installation {
  const inPlace = /^(.*)\/lib\/cicd-toolkit\/(?:current|releases\/[^/]+)\/lib\/cicd-toolkit$/;
  const prefix = inPlace.exec(libDir ?? "")?.[1];
  if (prefix !== undefined) return installationAt(prefix);
  const way = libDir === undefined
    ? "it is a checkout; update that, and run its install.sh"
    : libDir === "/usr/lib/cicd-toolkit"
    ? "it belongs to a package; upgrade that, for example with: " +
      "sudo apt install ./cicd-toolkit_VERSION_ARCH.deb, or sudo dnf install of the .rpm"
    : libDir.includes("/Cellar/")
    ? "it belongs to Homebrew; run: brew upgrade cicd-toolkit"
    : "it was not installed by install.sh; run that of the new release, or name an installation " +
      "with --prefix";
  throw new CicdError("usage", `Cannot upgrade this cicd-runner: ${way}`);
}

/** Returns the installation below a prefix. */
export function installationAt(prefix: string): Installation {
  const plain = prefix.replace(/\/+$/, "");
  return { prefix: plain, home: `${plain}/lib/cicd-toolkit` };
}

/**
 * Checks that this account may upgrade an installation, and that no other one can change it.
 *
 * @throws {CicdError} `usage` if it is not there, `forbidden` if it belongs to another account or to
 * all; the message says what to do.
 */
export async function requireOwn({ prefix, home }: Installation, uid: number): Promise<void> {
  const there = await Deno.stat(`${home}/current`).catch(unlessAbsent);
  if (there === undefined) {
    throw new CicdError(
      "usage",
      `Cannot upgrade "${prefix}": install.sh has installed nothing there`,
    );
  }
  const { uid: owner } = await Deno.stat(`${home}/releases`);
  // `install.sh --system` makes this link.
  const isSystem = await Deno.lstat(`${prefix}/units`).then(() => true, unlessAbsent) ?? false;
  const whose = isSystem || prefix === "/opt/cicd-toolkit"
    ? "it is for all users"
    : owner === uid
    ? undefined
    : `it belongs to uid ${owner}`;
  if (whose !== undefined) {
    throw new CicdError(
      "forbidden",
      `Cannot upgrade "${prefix}": ${whose}; its administrator runs install.sh of the new release, ` +
        "with --system for all users",
    );
  }
  for (const place of [home, `${home}/releases`, `${prefix}/bin`]) {
    await requireClosed(place, uid);
    await requireClosed(await Deno.realPath(place), uid);
  }
}

const STICKY = 0o1000;
const WRITE_FOR_ALL = 0o002;
/** Accounts outside of a user namespace, root among them, are shown as this one. */
const UNMAPPED = 65_534;

/** Stops where another account could exchange what is written and then run, as `install.sh` does. */
async function requireClosed(path: string, uid: number): Promise<void> {
  const accounts = await Deno.readTextFile("/proc/self/uid_map").catch(unlessAbsent);
  const isNamespace = accounts !== undefined && !/^\s*0\s+0\s+4294967295$/m.test(accounts);
  const trusted = new Set<number | null>([0, uid, ...isNamespace ? [UNMAPPED] : []]);
  for (let way = path; way !== ""; way = way.slice(0, way.lastIndexOf("/"))) {
    const { uid: owner, mode, isSymlink } = await Deno.lstat(way);
    const isOpen = !isSymlink && ((mode ?? 0) & (WRITE_FOR_ALL | STICKY)) === WRITE_FOR_ALL;
    if (trusted.has(owner) && !isOpen) continue;
    throw new CicdError(
      "forbidden",
      `Cannot upgrade through "${way}": ${
        isOpen ? "every account can write to it" : `it belongs to uid ${owner}`
      }, and could run code as yours; give it to this account and chmod o-w it`,
    );
  }
}

/** Returns the release that a link of the installation leads to; `undefined` if there is none. */
export async function releaseAt(
  { home }: Installation,
  link: "current" | "previous",
): Promise<Release | undefined> {
  const id = await linkedId({ home }, link);
  return id === undefined ? undefined : await readRelease(`${home}/releases/${id}`);
}

/** Returns the name of the release that a link leads to, whether it is there or not. */
export async function linkedId(
  { home }: Pick<Installation, "home">,
  link: "current" | "previous",
): Promise<string | undefined> {
  const target = await Deno.readLink(`${home}/${link}`).catch(unlessAbsent);
  return /^releases\/([^/]+)$/.exec(target ?? "")?.[1];
}

/** Returns the releases of an installation. */
export async function releasesIn({ home }: Installation): Promise<readonly Release[]> {
  const found: Release[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${home}/releases`)) {
    if (!isDirectory || name.startsWith(".")) continue;
    const release = await readRelease(`${home}/releases/${name}`);
    if (release !== undefined) found.push(release);
  }
  return found;
}

/** Reads a release; `undefined` if it is incomplete. */
export async function readRelease(path: string): Promise<Release | undefined> {
  const text = await readIfThere(`${path}/lib/cicd-toolkit/build.json`);
  const info = parseBuildInfo(text ?? "");
  const id = path.slice(path.lastIndexOf("/") + 1);
  return info === undefined ? undefined : { id, path, info };
}

/** Reads where the installed release came from. */
export async function readOrigin({ home }: Installation): Promise<Origin> {
  const text = await readIfThere(`${home}/origin`) ?? "";
  const field = (name: string) => new RegExp(`^${name}=(\\S+)$`, "m").exec(text)?.[1];
  return { url: field("url"), publicKey: field("public_key") };
}

function unlessAbsent(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
