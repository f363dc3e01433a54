/**
 * A registry of images on loopback, as much of one as an engine pulls from.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";

/** Options for {@linkcode startRegistry}. */
export interface RegistryOptions {
  /** Without them everybody may pull. */
  readonly login?: { readonly username: string; readonly password: string };
}

/** A registry with one image. */
export interface ImageRegistry extends AsyncDisposable {
  /** Such as `127.0.0.1:40123/team/tiny:1`. */
  readonly image: string;
  /** The same image by its digest. */
  readonly pinned: string;
  /** The requests: method and path. */
  readonly requests: readonly string[];
}

interface Blob {
  readonly bytes: Uint8Array;
  readonly type: string;
}

const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

/** Starts a registry that holds `team/tiny:1`, an image of one file. */
export async function startRegistry({ login }: RegistryOptions = {}): Promise<ImageRegistry> {
  const layer = await tinyLayer();
  const packed = gzipSync(layer);
  const config = json({
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: [digestOf(layer)] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: {
      mediaType: "application/vnd.docker.container.image.v1+json",
      size: config.length,
      digest: digestOf(config),
    },
    layers: [{
      mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
      size: packed.length,
      digest: digestOf(packed),
    }],
  });
  const blobs = new Map<string, Blob>([
    ["/v2/", { bytes: json({}), type: "application/json" }],
    ["/v2/team/tiny/manifests/1", { bytes: manifest, type: MANIFEST }],
    [`/v2/team/tiny/manifests/${digestOf(manifest)}`, { bytes: manifest, type: MANIFEST }],
    [`/v2/team/tiny/blobs/${digestOf(config)}`, { bytes: config, type: OCTETS }],
    [`/v2/team/tiny/blobs/${digestOf(packed)}`, { bytes: packed, type: OCTETS }],
  ]);
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    answer(request, response, blobs, login);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(typeof address === "object" && address !== null);
  const name = `127.0.0.1:${address.port}/team/tiny`;
  return {
    image: `${name}:1`,
    pinned: `${name}@${digestOf(manifest)}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const OCTETS = "application/octet-stream";

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  blobs: ReadonlyMap<string, Blob>,
  login: RegistryOptions["login"],
): void {
  const wanted = login === undefined
    ? undefined
    : `Basic ${btoa(`${login.username}:${login.password}`)}`;
  if (wanted !== undefined && request.headers.authorization !== wanted) {
    response.writeHead(401, { "www-authenticate": 'Basic realm="test"' });
    response.end();
    return;
  }
  const blob = blobs.get(request.url ?? "");
  if (blob === undefined) {
    response.writeHead(404, { "content-type": "application/json" });
    response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
    return;
  }
  response.writeHead(200, {
    "content-type": blob.type,
    "content-length": blob.bytes.length,
    "docker-content-digest": digestOf(blob.bytes),
    "docker-distribution-api-version": "registry/2.0",
  });
  response.end(request.method === "HEAD" ? undefined : blob.bytes);
}

async function tinyLayer(): Promise<Uint8Array> {
  const root = await Deno.makeTempDir({ prefix: "cicd-layer-" });
  try {
    await Deno.writeTextFile(`${root}/tiny`, crypto.randomUUID());
    const { stdout } = await new Deno.Command("tar", {
      args: ["-C", root, "-cf", "-", "tiny"],
      stdout: "piped",
    }).output();
    return stdout;
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
