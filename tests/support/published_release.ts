/**
 * Releases as they are published, made of the one under test.
 *
 * @module
 */
import { createGzip } from "node:zlib";
import { Readable } from "node:stream";
import { releaseInstaller } from "../../tools/release/installer.ts";
import { formatChecksums, sha256Of } from "../../tools/release/checksums.ts";
import { archiveName } from "../../tools/build/layout.ts";
import { runOnHost } from "./machine_host.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const LIB = "lib/cicd-toolkit";

/** Options for {@linkcode publish}. */
export interface PublishOptions {
  /** The release's directory. */
  readonly release: string;
  /** Receives the files. */
  readonly out: string;
  readonly version: string;
  /** Changes the files of the release; gets the directory of its bundles. */
  readonly damage?: (lib: string) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Publishes a copy of a release as another version: its archive, checksums and installer. */
export async function publish(options: PublishOptions): Promise<void> {
  const { release, out, version, damage, signal } = options;
  const copy = `${out}.tree`;
  await runOnHost(["cp", "-al", "--", release, copy], { signal });
  await stamp(copy, version);
  await damage?.(`${copy}/${LIB}`);
  await renameParts(`${copy}/${LIB}`);
  await Deno.mkdir(out);
  const archive = archiveName(Deno.build.target);
  await pack(copy, `${out}/${archive}`);
  await Deno.remove(copy, { recursive: true });
  const settings = { version, baseUrl: undefined, publicKey: undefined };
  const installer = releaseInstaller(await Deno.readTextFile(`${ROOT}/install.sh`), settings);
  await Deno.writeTextFile(`${out}/install.sh`, installer);
  const sums = new Map<string, string>();
  for (const name of [archive, "install.sh"]) sums.set(name, await sha256Of(`${out}/${name}`));
  await Deno.writeTextFile(`${out}/checksums.txt`, formatChecksums(sums));
}

/** Replaces a text in a file of a copy; the original, which may share its bytes, stays. */
async function edit(path: string, from: string, to: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const edited = text.replaceAll(from, to);
  if (edited === text) throw new Error(`Cannot edit "${path}": it has no ${from}`);
  await replace(path, edited);
}

/** Gives a file of a copy another text. */
export async function replace(path: string, text: string): Promise<void> {
  await Deno.remove(path);
  await Deno.writeTextFile(path, text);
}

async function stamp(tree: string, version: string): Promise<void> {
  const info = `${tree}/${LIB}/build.json`;
  const { version: old } = JSON.parse(await Deno.readTextFile(info));
  await edit(info, `"version": "${old}"`, `"version": "${version}"`);
  await editCode(`${tree}/${LIB}`, `="${old}"`, `="${version}"`);
}

/** Replaces a text in each file of the programs' code that has it; one at least must. */
async function editCode(
  lib: string,
  from: string,
  to: string,
  files = /\.(?:js|part)$/,
): Promise<void> {
  let found = false;
  for (const { name } of [...Deno.readDirSync(lib)]) {
    if (!files.test(name)) continue;
    const text = await Deno.readTextFile(`${lib}/${name}`);
    if (!text.includes(from)) continue;
    found = true;
    await replace(`${lib}/${name}`, text.replaceAll(from, to));
  }
  if (!found) throw new Error(`Cannot edit the code in "${lib}": it has no ${from}`);
}

/** Replaces a text in the code of the runner's daemon alone. */
export async function editDaemon(lib: string, from: string, to: string): Promise<void> {
  await editCode(lib, from, to, /^(?:daemon\.js|serve-.*\.part)$/);
}

/** Names each part by its content again: what was compiled of another one is kept by the name. */
async function renameParts(lib: string): Promise<void> {
  for (const { name } of [...Deno.readDirSync(lib)]) {
    if (!name.endsWith(".part")) continue;
    const hash = (await sha256Of(`${lib}/${name}`)).slice(0, 12);
    const renamed = name.replace(/[0-9a-f]{12}\.part$/, `${hash}.part`);
    if (renamed === name) continue;
    await Deno.rename(`${lib}/${name}`, `${lib}/${renamed}`);
    await editCode(lib, name, renamed);
  }
}

/** Without compression, which would take longer than all else. */
async function pack(tree: string, archive: string): Promise<void> {
  const tar = new Deno.Command("tar", {
    args: ["--create", "--owner=0", "--group=0", `--directory=${tree}`, "./bin", `./${LIB}`],
    stdout: "piped",
  }).spawn();
  const packed = Readable.from(tar.stdout).pipe(createGzip({ level: 0 }));
  using file = await Deno.open(archive, { write: true, createNew: true });
  for await (const part of packed) {
    for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
  }
  if (!(await tar.status).success) throw new Error(`Cannot pack "${tree}"`);
}
