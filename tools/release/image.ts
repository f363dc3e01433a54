/**
 * Makes the container image of a build, without an engine and without a registry: a root of Debian by
 * mmdebstrap(1), prepared as `deploy/container/Dockerfile` says, and the release on top.
 *
 * @module
 */
import { LIB_PATH, platformName } from "../build/layout.ts";
import { run } from "../build/run.ts";
import { type ImagePlan, parseDockerfile } from "./dockerfile.ts";
import { packTree, writeImage } from "./oci_layout.ts";
import { PACKAGE, type PackageOptions } from "./package.ts";

/** Debian's name of the root. */
const SUITE = "bookworm";

/** Documents that an image does without; licences stay. */
const LEFT_OUT = [
  "/usr/share/doc/*",
  "/usr/share/man/*",
  "/usr/share/locale/*",
  "/usr/share/info/*",
];

/** Options for {@linkcode makeImage}. */
export interface MakeImageOptions extends Omit<PackageOptions, "sbom"> {
  /** Where Debian's packages come from; a snapshot gives the same root each time. */
  readonly mirror: string | undefined;
}

/** Returns the name of the archive. */
export function imageName(target: string): string {
  return `${PACKAGE}-${platformName(target)}.oci.tar`;
}

/** Makes the image; returns the name of the archive. */
export async function makeImage(options: MakeImageOptions): Promise<string> {
  const { releaseDir, stage, outDir, version, target, maintainer, signal } = options;
  const dockerfile = `${releaseDir}/deploy/container/Dockerfile`;
  const plan = parseDockerfile(await Deno.readTextFile(dockerfile));
  await Deno.mkdir(stage);
  const layers = [`${stage}/root.tar`, `${stage}/release.tar`] as const;
  await makeRoot(plan, layers[0], options);
  await stageRelease(plan, `${stage}/release`, options);
  await packTree(`${stage}/release`, layers[1], options);
  const name = imageName(target);
  await writeImage({
    ...options,
    stage: `${stage}/layout`,
    out: `${outDir}/${name}`,
    layers,
    config: plan.config,
    labels: {
      "org.opencontainers.image.title": PACKAGE,
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.authors": maintainer,
      "org.opencontainers.image.licenses": "MIT",
    },
    architecture: platformName(target).replace(/^.*-/, ""),
    names: [`${PACKAGE}:${version}`, `${PACKAGE}:latest`],
  });
  await run(["rm", "-rf", "--one-file-system", stage], { signal });
  return name;
}

/** Makes the archive of the root; the same packages give the same bytes. */
export async function makeRoot(
  { args, script }: Pick<ImagePlan, "args" | "script">,
  out: string,
  { epoch, mirror, signal }: Pick<MakeImageOptions, "epoch" | "mirror" | "signal">,
): Promise<void> {
  const packages = (args.get("PACKAGES") ?? "").split(" ").filter((name) => name !== "");
  const values = [...args].map(([name, value]) => `${name}=${quote(value)}`).join(" ");
  const hooks = [
    `chroot "$1" env ${values} /bin/sh -c ${quote(script)}`,
    // The host's, and leftovers of the installation.
    'rm -f "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/*- "$1"/var/log/*.log "$1"/var/log/apt/*',
  ];
  await run([
    ...["mmdebstrap", "--quiet", "--variant=minbase", `--include=${packages.join(",")}`],
    ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    ...hooks.map((hook) => `--customize-hook=${hook}`),
    ...[SUITE, out],
    ...mirror === undefined ? [] : [mirror],
  ], { env: { SOURCE_DATE_EPOCH: epoch }, signal });
}

async function stageRelease(
  { copies }: ImagePlan,
  directory: string,
  { releaseDir, signal }: MakeImageOptions,
): Promise<void> {
  for (const [from, to] of copies) {
    const path = `${directory}${to}`;
    const parent = path.replace(/\/$/, "").replace(/\/[^/]*$/, "");
    await Deno.mkdir(parent, { recursive: true });
    const source = `${releaseDir}/${from}`.replace(/\/$/, "");
    await run(["cp", "-R", source, path.replace(/\/$/, "")], { signal });
  }
  const entry = `${directory}/opt/${PACKAGE}/bin/cicd-container`;
  await Deno.chmod(entry, 0o755);
  await Deno.stat(`${directory}/opt/${PACKAGE}/${LIB_PATH}/build.json`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
