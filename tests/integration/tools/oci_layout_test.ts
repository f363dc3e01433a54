import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { parseDockerfile } from "../../../tools/release/dockerfile.ts";
import { packTree, writeImage } from "../../../tools/release/oci_layout.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const EPOCH = { epoch: "1700000000", signal: AbortSignal.timeout(60_000) };
const sha256 = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Makes the archive of an image of two layers in a directory of its own. */
async function makeSmall(directory: string): Promise<string> {
  const layers: string[] = [];
  for (const layer of ["root", "release"]) {
    await Deno.mkdir(`${directory}/${layer}`, { recursive: true });
    await Deno.writeTextFile(`${directory}/${layer}/file`, layer);
    layers.push(`${directory}/${layer}.tar`);
    await packTree(`${directory}/${layer}`, `${directory}/${layer}.tar`, EPOCH);
  }
  const text = await Deno.readTextFile(`${ROOT}deploy/container/Dockerfile`);
  const { config } = parseDockerfile(text);
  const out = `${directory}/image.tar`;
  await writeImage({
    ...EPOCH,
    stage: `${directory}/layout`,
    out,
    layers,
    config,
    labels: { title: "test" },
    architecture: "amd64",
    names: ["test:1", "test:latest"],
    date: "2023-11-14T22:13:20.000Z",
  });
  return out;
}

Deno.test("writeImage() writes a layout whose references hold, the same bytes each time", async () => {
  const directory = await Deno.makeTempDir({ prefix: "oci-" });
  try {
    const [first, second] = [`${directory}/first`, `${directory}/second`];
    const [one, two] = [await makeSmall(first), await makeSmall(second)];
    assert.deepEqual(await Deno.readFile(one), await Deno.readFile(two));
    const layout = `${first}/layout`;
    const read = async (path: string) => JSON.parse(await Deno.readTextFile(`${layout}/${path}`));
    const blob = async ({ digest, size }: { digest: string; size: number }) => {
      const bytes = await Deno.readFile(`${layout}/blobs/${digest.replace(":", "/")}`);
      assert.deepEqual([sha256(bytes), bytes.length], [digest, size]);
      return bytes;
    };
    assert.deepEqual(await read("oci-layout"), { imageLayoutVersion: "1.0.0" });
    const { manifests } = await read("index.json");
    assert.equal(manifests.length, 2);
    const manifest = JSON.parse(new TextDecoder().decode(await blob(manifests[0])));
    const image = JSON.parse(new TextDecoder().decode(await blob(manifest.config)));
    const layers = await Promise.all(manifest.layers.map(blob));
    const unpacked = layers.map((layer) => sha256(gunzipSync(layer)));
    assert.deepEqual(image.rootfs.diff_ids, unpacked);
    assert.deepEqual(image.config.Entrypoint, ["/opt/cicd-toolkit/bin/cicd-container"]);
    assert.equal(image.config.User, "cicd");
    const [legacy] = await read("manifest.json");
    assert.deepEqual(legacy.RepoTags, ["test:1", "test:latest"]);
    for (const path of [legacy.Config, ...legacy.Layers]) await Deno.stat(`${layout}/${path}`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
