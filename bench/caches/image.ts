/**
 * An image with the toolchains of the cache examples, for an engine of the measurement.
 *
 * @module
 */
import { runOnHost } from "../../tests/support/machine_host.ts";
import { machineCache } from "../../tests/support/machine_root.ts";

/** The name of the image. */
export const TOOLS_IMAGE = "cicd-bench/tools:1";

/** Everything that shapes the image; a change makes a new one. */
const RECIPE = {
  suite: "trixie",
  packages: [
    ...["ca-certificates", "git", "gcc", "libc6-dev", "cmake", "ninja-build", "ccache"],
    ...["cargo", "golang-go", "nodejs", "npm", "python3-venv"],
  ],
  leftOut: ["usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "var/lib/apt/lists/*"],
} as const;

/** The certificates of this machine, which may be behind a proxy that has its own. */
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
const BUILD_MS = 20 * 60_000;

/**
 * Puts the image into an engine; makes its archive first if this is the first time, which takes a
 * few minutes and a Debian mirror.
 */
export async function importToolsImage(host: string, signal: AbortSignal): Promise<void> {
  const archive = await ensureArchive(signal);
  const change = "ENV PATH=/usr/local/bin:/usr/bin:/bin";
  await runOnHost(["docker", "--host", host, "import", "--change", change, archive, TOOLS_IMAGE], {
    signal,
  });
}

async function ensureArchive(signal: AbortSignal): Promise<string> {
  const directory = `${machineCache()}/tools`;
  await Deno.mkdir(directory, { recursive: true });
  const digest = await crypto.subtle.digest("SHA-256", await recipe());
  const archive = `${directory}/${new Uint8Array(digest).toHex().slice(0, 16)}.tar`;
  using lock = await Deno.open(`${archive}.lock`, { create: true, write: true });
  await lock.lock(true);
  if (await isThere(archive)) return archive;
  console.error(`Making an image with the toolchains in ${directory}; this happens once`);
  const certificates = await isThere(CERTIFICATES)
    ? [`--customize-hook=cp ${CERTIFICATES} "$1${CERTIFICATES}"`]
    : [];
  await runOnHost([
    ...["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar"],
    `--include=${RECIPE.packages.join(",")}`,
    ...RECIPE.leftOut.map((path) => `--customize-hook=rm -rf "$1"/${path}`),
    ...certificates,
    ...[RECIPE.suite, `${archive}.building`],
  ], { signal: AbortSignal.any([signal, AbortSignal.timeout(BUILD_MS)]) });
  await Deno.rename(`${archive}.building`, archive);
  return archive;
}

async function recipe(): Promise<Uint8Array<ArrayBuffer>> {
  const certificates = await isThere(CERTIFICATES) ? await Deno.readTextFile(CERTIFICATES) : "";
  return new TextEncoder().encode(JSON.stringify(RECIPE) + certificates);
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
