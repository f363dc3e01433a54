/**
 * Unpacks a release beside the present one, and checks that it runs here.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { withDeadline } from "@lib/core/abort.ts";
import { CicdError, ignore, messageOf } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import {
  type Installation,
  linkedId,
  readRelease,
  type Release,
} from "@lib/features/install/upgrade/installed.ts";

/** The means of {@linkcode unpack}. */
export interface UnpackPorts {
  readonly run: RunCommand;
  readonly env: Readonly<Record<string, string>>;
  /** The platform's triple of this machine. */
  readonly target: string;
  /** Most bytes that an archive may come to. @default {1 GiB}, several times the largest release */
  readonly unpackedMaxBytes?: number;
  readonly signal: AbortSignal;
}

const TAR_MS = 5 * 60_000;
const UNPACKED_MAX_BYTES = 1024 * 1024 * 1024;
const VERSION_MS = 60_000;

/** Returns the directory of downloads; it is on the file system of the releases. */
export function scratchOf({ home }: Installation): string {
  return `${home}/releases/.tmp.upgrade`;
}

/**
 * Unpacks an archive and puts it among the releases, by rename. All of it is on disk then.
 *
 * @param archive In the directory {@linkcode scratchOf}.
 * @throws {CicdError} `io_failed` if it is no release, or not for this machine, `disk_full`.
 */
export async function unpack(
  installation: Installation,
  { archive, version }: { readonly archive: string; readonly version: string },
  ports: UnpackPorts,
): Promise<Release> {
  const staging = `${scratchOf(installation)}/release`;
  await Deno.mkdir(staging, { mode: 0o755 });
  const { signal } = ports;
  await requireBounded(archive, ports);
  const extract = ["tar", "-xzf", archive, "--no-same-owner", "-C", staging, "./bin", "./lib"];
  await command(extract, "unpack the archive", { ...ports, timeoutMs: TAR_MS });
  if (!await isPlain(await Deno.realPath(staging))) {
    const what = "something other than files, directories and links inside of it";
    throw failed(`Cannot use the release ${version}: its archive has ${what}`);
  }
  // Whatever the umask is, no other account may change it.
  await command(["chmod", "-R", "go-w", staging], "close the release", {
    ...ports,
    timeoutMs: TAR_MS,
  });
  const release = await readRelease(staging);
  if (release === undefined) {
    throw failed(`Cannot use the release ${version}: it has no build.json`);
  }
  await requireWorking(release, version, ports);
  const id = `${version}-${(await digestOf(staging)).slice(0, 12)}`;
  await shareRuntime(installation, staging);
  await syncTree(staging, signal);
  const releases = `${installation.home}/releases`;
  // Of a damaged one that is in use, no file goes before the links lead to another.
  const inUse = [await linkedId(installation, "current"), await linkedId(installation, "previous")];
  for (const name of [id, `${id}.2`, `${id}.3`]) {
    const path = `${releases}/${name}`;
    if (await isSame(path, id, version)) return { ...release, id: name, path };
    if (inUse.includes(name)) continue;
    await removeTree(path);
    await Deno.rename(staging, path);
    await syncDirectory(releases);
    return { ...release, id: name, path };
  }
  throw failed(`Cannot use the release ${version}: two damaged copies of it are in use`);
}

/** Checks what an archive comes to, before any of it is on disk. */
async function requireBounded(
  archive: string,
  { unpackedMaxBytes: most = UNPACKED_MAX_BYTES, signal }: UnpackPorts,
): Promise<void> {
  using deadline = withDeadline(signal, TAR_MS, "the archive");
  using file = await Deno.open(archive);
  let bytes = 0;
  const counted = new WritableStream<Uint8Array>({
    write(part) {
      bytes += part.length;
      if (bytes > most) {
        throw failed(`Cannot unpack the archive: it comes to more than ${formatSize(most)}`);
      }
    },
  });
  try {
    await file.readable.pipeThrough(new DecompressionStream("gzip"), { signal: deadline })
      .pipeTo(counted, { signal: deadline });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CicdError) throw error;
    throw failed(`Cannot unpack the archive: ${messageOf(error)}`);
  }
}

const said = v.object({ version: v.string(), deno: v.string(), target: v.string() });

/**
 * Checks that a release is for this machine, and that its program is what it says.
 *
 * @throws {CicdError} `io_failed` if not.
 */
async function requireWorking(
  { path, info }: Release,
  version: string,
  { run, env, target, signal }: UnpackPorts,
): Promise<void> {
  const what = `Cannot use the release ${version}`;
  if (info.version !== version) throw failed(`${what}: it says that it is ${info.version}`);
  if (info.target !== target) {
    throw failed(`${what}: it is for ${info.target}, this machine is ${target}`);
  }
  const aside = `${path}/../runtime`;
  const ended = await run([`${path}/bin/cicd-runner`, "version", "--json"], {
    env: { ...env, CICD_TOOLKIT_CACHE: aside, TMPDIR: `${path}/..` },
    timeoutMs: VERSION_MS,
    signal,
  });
  const facts = v.safeParse(v.pipe(v.string(), v.parseJson(), said), ended.stdout);
  if (ended.code !== 0 || !facts.success) {
    const reason = ended.stderr.trim().split("\n").at(-1) ?? "";
    throw failed(
      `${what}: its cicd-runner does not run here (exit code ${ended.code}${
        reason && `: ${reason}`
      })`,
    );
  }
  for (const field of ["version", "deno", "target"] as const) {
    if (facts.output[field] === info[field]) continue;
    throw failed(
      `${what}: it says ${field} ${info[field]}, its cicd-runner ${facts.output[field]}`,
    );
  }
}

/** Checks that nothing below a directory leads out of the release, or would be waited for. */
async function isPlain(release: string): Promise<boolean> {
  const left = [`${release}/bin`, `${release}/lib`];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    const { isFile, isDirectory, isSymlink } = await Deno.lstat(path);
    const isTop = path === `${release}/bin` || path === `${release}/lib`;
    if (isDirectory) {
      for await (const { name } of Deno.readDir(path)) left.push(`${path}/${name}`);
    } else if (isTop || !(isSymlink ? await leadsInto(release, path) : isFile)) return false;
  }
  return true;
}

async function leadsInto(release: string, link: string): Promise<boolean> {
  if ((await Deno.readLink(link)).startsWith("/")) return false;
  const found = await Deno.realPath(link).catch(ignore("it leads nowhere, or in a circle"));
  return found?.startsWith(`${release}/`) ?? false;
}

/** The digest in the release's name; `install.sh` makes the same. */
async function digestOf(release: string): Promise<string> {
  const files = [...await filesBelow(release, "bin"), ...await filesBelow(release, "lib")];
  const hash = createHash("sha256");
  for (const file of files.sort((a, b) => a < b ? -1 : 1)) {
    // The date of a build does not change its content.
    if (file.endsWith("/build.json")) continue;
    hash.update(`${await sha256Of(`${release}/${file}`)} ${file}\n`);
  }
  return hash.digest("hex");
}

async function filesBelow(root: string, below: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isFile, isDirectory } of Deno.readDir(`${root}/${below}`)) {
    if (isDirectory) found.push(...await filesBelow(root, `${below}/${name}`));
    else if (isFile) found.push(`${below}/${name}`);
  }
  return found;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const bytes = new Uint8Array(256 * 1024);
  for (;;) {
    const count = await file.read(bytes);
    if (count === null) return hash.digest("hex");
    hash.update(bytes.subarray(0, count));
  }
}

async function isSame(path: string, id: string, version: string): Promise<boolean> {
  const there = await readRelease(path);
  return there !== undefined && `${version}-${(await digestOf(path)).slice(0, 12)}` === id;
}

/** If the runtime is unchanged, both releases share its file: less disk, and warm pages. */
async function shareRuntime({ home }: Installation, staging: string): Promise<void> {
  const old = `${home}/current/lib/cicd-toolkit/deno`;
  const fresh = `${staging}/lib/cicd-toolkit/deno`;
  const [a, b] = await Promise.all([old, fresh].map((path) => Deno.stat(path).catch(unlessAbsent)));
  if (a === undefined || b === undefined || a.size !== b.size) return;
  if (await sha256Of(old) !== await sha256Of(fresh)) return;
  const draft = `${fresh}.shared`;
  await Deno.link(old, draft).then(() => Deno.rename(draft, fresh), ignore("a copy works too"));
}

/** Brings everything below a directory to the disk. */
async function syncTree(path: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  for await (const { name, isFile, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) await syncTree(`${path}/${name}`, signal);
    if (!isFile) continue;
    using file = await Deno.open(`${path}/${name}`);
    await file.sync();
  }
  await syncDirectory(path);
}

/** Brings the names in a directory to the disk. */
export async function syncDirectory(path: string): Promise<void> {
  using directory = await Deno.open(path);
  await directory.sync();
}

/** Removes a tree, if it is there. */
export async function removeTree(path: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch(unlessAbsent);
}

async function command(
  argv: readonly string[],
  what: string,
  { run, env, timeoutMs, signal }: UnpackPorts & { readonly timeoutMs: number },
): Promise<void> {
  const { code, stderr } = await run(argv, { env, timeoutMs, signal });
  if (code === 0) return;
  const reason = stderr.trim().split("\n")[0] ?? "";
  if (/no space left|quota exceeded/i.test(stderr)) {
    throw new CicdError("disk_full", `Cannot ${what}: the disk is full`);
  }
  throw failed(`Cannot ${what}: ${reason || `exit code ${code}`}`);
}

function failed(message: string): CicdError {
  return new CicdError("io_failed", message);
}

function unlessAbsent(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
