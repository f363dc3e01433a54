/**
 * Writes an image as the OCI layout: <https://github.com/opencontainers/image-spec>. The archive also
 * has the index that `docker load` of older engines reads.
 *
 * @module
 */
import { run } from "../build/run.ts";
import { sha256Of } from "./checksums.ts";
import type { ImagePlan } from "./dockerfile.ts";

/** Options for {@linkcode writeImage}. */
export interface ImageOptions {
  /** A directory that does not exist; becomes the layout. */
  readonly stage: string;
  /** The archive. */
  readonly out: string;
  /** Archives by tar(1), the lowest first; they are consumed. */
  readonly layers: readonly string[];
  readonly config: ImagePlan["config"];
  readonly labels: Readonly<Record<string, string>>;
  /** `amd64` or `arm64`. */
  readonly architecture: string;
  /** Without a registry: `cicd-toolkit:1.2.3`. */
  readonly names: readonly string[];
  /** RFC 3339. */
  readonly date: string;
  /** The time of every file, in seconds since the epoch. */
  readonly epoch: string;
  readonly signal: AbortSignal;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const TYPE = "application/vnd.oci.image";

/** Writes the image; the same layers and facts give the same bytes. */
export async function writeImage(options: ImageOptions): Promise<void> {
  const { stage, out, layers, config, labels, architecture, names, date, epoch, signal } = options;
  const blobs = `${stage}/blobs/sha256`;
  await Deno.mkdir(blobs, { recursive: true });
  const contents: { readonly diffId: string; readonly blob: Descriptor }[] = [];
  for (const layer of layers) {
    const diffId = `sha256:${await sha256Of(layer)}`;
    await run(["gzip", "--no-name", "--force", "-6", layer], { signal });
    const blob = await addFile(blobs, `${layer}.gz`, `${TYPE}.layer.v1.tar+gzip`);
    contents.push({ diffId, blob });
  }
  const image = await addJson(blobs, `${TYPE}.config.v1+json`, {
    created: date,
    architecture,
    os: "linux",
    config: { ...config, Labels: labels },
    rootfs: { type: "layers", diff_ids: contents.map(({ diffId }) => diffId) },
  });
  const manifest = await addJson(blobs, `${TYPE}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${TYPE}.manifest.v1+json`,
    config: image,
    layers: contents.map(({ blob }) => blob),
  });
  await writeJson(`${stage}/oci-layout`, { imageLayoutVersion: "1.0.0" });
  await writeJson(`${stage}/index.json`, {
    schemaVersion: 2,
    mediaType: `${TYPE}.index.v1+json`,
    manifests: names.map((name) => ({
      ...manifest,
      platform: { architecture, os: "linux" },
      annotations: {
        "io.containerd.image.name": `docker.io/library/${name}`,
        "org.opencontainers.image.ref.name": name.replace(/^.*:/, ""),
      },
    })),
  });
  await writeJson(`${stage}/manifest.json`, [{
    Config: pathOf(image),
    RepoTags: names,
    Layers: contents.map(({ blob }) => pathOf(blob)),
  }]);
  await packTree(stage, out, { epoch, signal });
}

/** Archives a directory, the same bytes each time. */
export async function packTree(
  directory: string,
  out: string,
  { epoch, signal }: { readonly epoch: string; readonly signal: AbortSignal },
): Promise<void> {
  await run([
    ...["tar", "--create", "--format=posix", "--pax-option=delete=atime,delete=ctime"],
    ...["--sort=name", `--mtime=@${epoch}`, "--owner=0", "--group=0", "--numeric-owner"],
    ...["--mode=u+rwX,go+rX,go-w", `--file=${out}`, `--directory=${directory}`, "."],
  ], { signal });
}

async function addFile(blobs: string, path: string, mediaType: string): Promise<Descriptor> {
  const sha256 = await sha256Of(path);
  const { size } = await Deno.stat(path);
  await Deno.rename(path, `${blobs}/${sha256}`);
  return { mediaType, digest: `sha256:${sha256}`, size };
}

async function addJson(blobs: string, mediaType: string, value: unknown): Promise<Descriptor> {
  const path = `${blobs}/draft`;
  await writeJson(path, value);
  return await addFile(blobs, path, mediaType);
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(value));
}

function pathOf({ digest }: Descriptor): string {
  return `blobs/${digest.replace(":", "/")}`;
}
