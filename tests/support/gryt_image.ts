/**
 * An image with `gryt` in it, for a Docker Engine of the tests.
 *
 * @module
 */
import { machineCache } from "./machine_root.ts";
import { runOnHost } from "./machine_host.ts";

/** The name of the image. */
export const GRYT_IMAGE = "cicd-test/gryt:1";

/** Everything that shapes the image; a change makes a new one. */
const RECIPE = {
  suite: "bookworm",
  packages: ["python3-minimal", "libpython3-stdlib", "dash", "busybox-static"],
  gryt: "gryt==1.1.8",
  leftOut: ["usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache", "var/lib/apt"],
} as const;

const STAND_IN = new URL("gryt_stand_in.py", import.meta.url);
const BUILD_MS = 600_000;
const PACKAGES = "usr/lib/python3/dist-packages";
const SCRIPT = "#!/usr/bin/python3 -B\n";

/** Programs of the host that make the image, and Debian's package for each. */
export const GRYT_IMAGE_PROGRAMS = [["mmdebstrap", "mmdebstrap"], ["docker", "docker.io"]] as const;

/** Which `gryt` an image has: the package, or what stands in for it where it cannot be had. */
export type GrytKind = "package" | "stand_in";

/**
 * Puts the image into an engine; makes its archive first if this is the first time, which takes
 * half a minute and a Debian mirror. Remove the archive to try for the package again.
 */
export async function importGrytImage(host: string, signal: AbortSignal): Promise<GrytKind> {
  const { path, kind } = await ensureArchive(signal);
  const change = "ENV PATH=/usr/local/bin:/usr/bin:/bin";
  await runOnHost(["docker", "--host", host, "import", "--change", change, path, GRYT_IMAGE], {
    signal,
  });
  return kind;
}

async function ensureArchive(signal: AbortSignal) {
  const directory = `${machineCache()}/gryt`;
  await Deno.mkdir(directory, { recursive: true });
  const recipe = JSON.stringify(RECIPE) + SCRIPT + await Deno.readTextFile(STAND_IN);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(recipe));
  const name = `${directory}/${new Uint8Array(digest).toHex().slice(0, 16)}`;
  const archives = { package: `${name}.package.tar`, stand_in: `${name}.stand_in.tar` } as const;
  using lock = await Deno.open(`${name}.lock`, { create: true, write: true });
  await lock.lock(true);
  for (const kind of ["package", "stand_in"] as const) {
    if (await isThere(archives[kind])) return { kind, path: archives[kind] };
  }
  console.error(`Making an image with gryt in ${directory}; this happens once`);
  const work = await Deno.makeTempDir({ prefix: "gryt-image-" });
  try {
    const root = `${work}/root.tar`;
    const building = { signal: AbortSignal.any([signal, AbortSignal.timeout(BUILD_MS)]) };
    const kind = await addGryt(`${work}/files`);
    await runOnHost([
      "mmdebstrap",
      "--quiet",
      "--variant=extract",
      "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
      `--include=${RECIPE.packages.join(",")}`,
      ...RECIPE.leftOut.map((path) => `--extract-hook=rm -rf "$1/${path}"`),
      `--extract-hook=cp -R "${work}/files/." "$1/"`,
      RECIPE.suite,
      root,
    ], building);
    await runOnHost(["cp", root, `${archives[kind]}.building`], { signal });
    await Deno.rename(`${archives[kind]}.building`, archives[kind]);
    return { kind, path: archives[kind] };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Lays out the files of the package from PyPI, or what stands in for it. */
async function addGryt(files: string): Promise<GrytKind> {
  await Deno.mkdir(`${files}/${PACKAGES}`, { recursive: true });
  await Deno.mkdir(`${files}/usr/local/bin`, { recursive: true });
  const installed = await new Deno.Command("python3", {
    args: [
      ...["-m", "pip", "install", "--quiet", "--only-binary=:all:", "--python-version", "3.11"],
      ...["--target", `${files}/${PACKAGES}`, RECIPE.gryt],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(120_000),
  }).output().catch(() => undefined);
  const isPackage = installed?.success === true;
  if (!isPackage) await Deno.copyFile(STAND_IN, `${files}/${PACKAGES}/gryt.py`);
  const start = isPackage
    ? "from gryt.cli import main\nmain()\n"
    : "from gryt import main\nmain()\n";
  await Deno.writeTextFile(`${files}/usr/local/bin/gryt`, `${SCRIPT}${start}`);
  await Deno.chmod(`${files}/usr/local/bin/gryt`, 0o755);
  return isPackage ? "package" : "stand_in";
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
