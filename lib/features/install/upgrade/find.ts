/**
 * Finds a release where releases are published, and downloads it.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import {
  downloadFile,
  type DownloadOptions,
  downloadText,
} from "@lib/features/install/upgrade/download.ts";
import {
  archiveName,
  type Checksums,
  parseChecksums,
  releaseUrl,
  versionOfInstaller,
} from "@lib/features/install/upgrade/release_files.ts";

/** Where releases are published. */
export interface ReleaseSource {
  /** May contain `{version}`. */
  readonly url: string;
  /** As `minisign -P` takes it; `undefined`: signatures cannot be checked. */
  readonly publicKey: string | undefined;
  /** PEM text of an authority to trust, besides the usual ones. */
  readonly authority: string | undefined;
}

/** A release that is published. */
export interface Published {
  readonly version: string;
  /** The directory of its files. */
  readonly url: string;
  readonly isSigned: boolean;
  readonly checksums: Checksums;
}

const TEXT_MAX_BYTES = 1024 * 1024;
const ARCHIVE_MAX_BYTES = 1024 * 1024 * 1024;

/**
 * Finds a release. Its checksums are verified with the key, if there is one.
 *
 * @param version `undefined`: the latest.
 * @throws {CicdError} `not_found` if it is not there, `io_failed` if it cannot be read or is not
 * what it says.
 */
export async function findRelease(
  source: ReleaseSource,
  version: string | undefined,
  signal: AbortSignal,
): Promise<Published> {
  const { publicKey, authority } = source;
  const url = releaseUrl(source.url, version);
  const options = { maxBytes: TEXT_MAX_BYTES, authority, signal };
  const text = await downloadText(`${url}/checksums.txt`, options);
  if (text === undefined) {
    throw new CicdError("not_found", `Cannot find a release at "${url}": it has no checksums.txt`);
  }
  if (publicKey !== undefined) await requireSignature(url, text, publicKey, options);
  const checksums = parsed(url, text);
  const installer = await downloadText(`${url}/install.sh`, options);
  if (installer === undefined || await sha256Of(installer) !== checksums.get("install.sh")) {
    throw failed(
      `Cannot use the release at "${url}": its install.sh is not the one of its checksums`,
    );
  }
  const found = versionOfInstaller(installer);
  if (found === undefined || (version !== undefined && found !== version)) {
    throw failed(`Cannot use the release at "${url}": it is ${found ?? "of no version"}`);
  }
  return {
    version: found,
    url: releaseUrl(source.url, found),
    isSigned: publicKey !== undefined,
    checksums,
  };
}

/**
 * Downloads the archive of a release, and verifies it.
 *
 * @param options `path` is a new file.
 * @throws {CicdError} `not_found` if there is none for the target, `io_failed` if it is not the one of
 * the checksums, `disk_full`.
 */
export async function downloadArchive(
  { version, url, checksums }: Published,
  { target, path, authority, onBytes, signal }: Omit<DownloadOptions, "maxBytes"> & {
    readonly target: string;
    readonly path: string;
    readonly onBytes: (bytes: number, of: number | undefined) => void;
  },
): Promise<void> {
  const name = archiveName(target);
  const sum = checksums.get(name);
  const options = { maxBytes: ARCHIVE_MAX_BYTES, authority, onBytes, signal };
  const found = sum && await downloadFile(`${url}/${name}`, path, options);
  if (sum === undefined || found === undefined) {
    throw new CicdError("not_found", `Cannot find release ${version} for ${target}: no ${name}`);
  }
  if (found === sum) return;
  throw failed(`Cannot use "${url}/${name}": its checksum is ${found}, not ${sum}`);
}

async function requireSignature(
  url: string,
  text: string,
  publicKey: string,
  options: DownloadOptions,
): Promise<void> {
  const signature = await downloadText(`${url}/checksums.txt.minisig`, options);
  const { parsePublicKey, verify } = await import("@lib/features/install/upgrade/signature.ts");
  try {
    const key = await parsePublicKey(publicKey);
    const content = new TextEncoder().encode(text);
    if (signature !== undefined && await verify(content, signature, key) !== undefined) return;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new CicdError("io_failed", `Cannot verify "${url}": ${messageOf(cause)}`, { cause });
  }
  const what = signature === undefined ? "it has none" : "it is not one of the release's key";
  throw failed(`Cannot verify the signature of "${url}/checksums.txt": ${what} (${publicKey})`);
}

function parsed(url: string, text: string): Checksums {
  try {
    return parseChecksums(text);
  } catch (cause) {
    throw new CicdError("io_failed", `Cannot use "${url}/checksums.txt": ${messageOf(cause)}`, {
      cause,
    });
  }
}

async function sha256Of(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}

function failed(message: string): CicdError {
  return new CicdError("io_failed", message);
}
