import assert from "node:assert/strict";
import { bundle, bundleLazily, LAZY_PACKAGES } from "../../../tools/build/bundle.ts";
import { PROGRAMS } from "../../../tools/build/layout.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

Deno.test("the daemon's bundle has what stops a job whose agent does not answer", async () => {
  const daemon = PROGRAMS[0]?.leaner;
  assert.ok(daemon);
  const outside = (await bundled(daemon)).matchAll(/import\("(@lib\/[^"]+)"\)/g);
  const files = [...outside].map(([, file]) => file);
  // An entry of the command line: the daemon never calls it.
  assert.deepEqual(files.filter((file) => file?.endsWith("/commands.ts") !== true), []);
});

Deno.test("no start of a daemon loads what few of its runs need", async () => {
  for (const program of [PROGRAMS[0]?.leaner, PROGRAMS[1]]) {
    assert.ok(program);
    const source = await bundled(program);
    const loaded = [...source.matchAll(/from"(node:[^"]+)"/g)].map(([, name]) => name);
    const needless = ["node:http2", "node:https", "node:dns/promises", "node:child_process"];
    assert.deepEqual(needless.filter((name) => loaded.includes(name)), [], program.bundle);
    assert.doesNotMatch(source, /YAMLParseError|openMetricsContentType=/, program.bundle);
  }
});

Deno.test("no start reads the files of packages that are loaded on first use", async () => {
  for (const program of PROGRAMS) {
    for (const part of [program, ...program.leaner === undefined ? [] : [program.leaner]]) {
      const source = await bundled(part);
      assert.match(source, /import\(releaseUrl\+"\d+\.js"\)/, part.bundle);
      assert.doesNotMatch(source, /import\("\.\//, part.bundle);
    }
  }
});

Deno.test("a plain command line loads no module of Node.js, nor the grammar", async () => {
  const [runner] = PROGRAMS;
  assert.ok(runner?.rest);
  const source = await bundled(runner);
  assert.deepEqual([...source.matchAll(/(?:from|import)"node:[^"]+"/g)].map(String), []);
  assert.ok(!source.includes("commandList"));
  assert.ok(source.length < 150_000, `${source.length} bytes`);
});

Deno.test("functions and classes of a bundle keep their names for stack traces", async () => {
  const [, agent] = PROGRAMS;
  assert.ok(agent);
  const source = await bundled(agent);
  for (const name of ["AttemptHost", "runProgram"]) assert.match(source, new RegExp(`"${name}"`));
});

Deno.test("each package in a file of its own can be loaded", async () => {
  const outDir = await Deno.makeTempDir({ prefix: "bundle-" });
  try {
    for (const each of LAZY_PACKAGES) {
      const signal = AbortSignal.timeout(60_000);
      const file = await bundleLazily(each, new Map(), { root: ROOT, outDir, signal });
      const loads = `globalThis.__dirname = "/";
        const all = await import("file://${outDir}/${file}");
        console.log(Object.keys(all).sort().join(", "));`;
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["eval", "--no-config", loads],
      }).output();
      const names = new TextDecoder().decode(stdout).trim();
      assert.equal(names, each.exports, new TextDecoder().decode(stderr));
    }
  } finally {
    await Deno.remove(outDir, { recursive: true });
  }
});

async function bundled(program: Parameters<typeof bundle>[0]): Promise<string> {
  const outDir = await Deno.makeTempDir({ prefix: "bundle-" });
  try {
    const lazy = [...LAZY_PACKAGES, ...PROGRAMS.flatMap(({ rest = [] }) => rest)];
    const packages = new Map(lazy.map(({ name }, at) => [name, `${at}.js`]));
    const signal = AbortSignal.timeout(60_000);
    return await Deno.readTextFile(
      await bundle(program, packages, { root: ROOT, outDir, signal }),
    );
  } finally {
    await Deno.remove(outDir, { recursive: true });
  }
}
