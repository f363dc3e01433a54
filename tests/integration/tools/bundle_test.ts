import assert from "node:assert/strict";
import { bundle, LAZY_PACKAGES } from "../../../tools/build/bundle.ts";
import { PROGRAMS } from "../../../tools/build/layout.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

Deno.test("the daemon's bundle has what stops a job whose agent does not answer", async () => {
  const daemon = PROGRAMS[0]?.leaner;
  assert.ok(daemon);
  const outDir = await Deno.makeTempDir({ prefix: "bundle-" });
  try {
    const packages = new Map(LAZY_PACKAGES.map(({ name }) => [name, `${name}.js`]));
    const signal = AbortSignal.timeout(60_000);
    const path = await bundle(daemon, packages, { root: ROOT, outDir, signal });
    const outside = (await Deno.readTextFile(path)).matchAll(/import\("(@lib\/[^"]+)"\)/g);
    const files = [...outside].map(([, file]) => file);
    // An entry of the command line: the daemon never calls it.
    assert.deepEqual(files.filter((file) => file?.endsWith("/commands.ts") !== true), []);
  } finally {
    await Deno.remove(outDir, { recursive: true });
  }
});
