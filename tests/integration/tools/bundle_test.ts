import assert from "node:assert/strict";
import { bundle, bundleLazily, LAZY_PACKAGES } from "../../../tools/build/bundle.ts";
import { type Program, PROGRAMS } from "../../../tools/build/layout.ts";
import { toScriptForm } from "../../../tools/build/script_form.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const DAEMON = partOf(PROGRAMS[0]?.leaner);
const AGENT = partOf(PROGRAMS[1]);

Deno.test("the daemon's bundle has what stops a job whose agent does not answer", async () => {
  const outside = (await bundled(DAEMON)).matchAll(/import\("(@lib\/[^"]+)"\)/g);
  const files = [...outside].map(([, file]) => file);
  // An entry of the command line: the daemon never calls it.
  assert.deepEqual(files.filter((file) => file?.endsWith("/commands.ts") !== true), []);
});

Deno.test("no start of a daemon loads what few of its runs need", async () => {
  for (const program of [DAEMON, AGENT]) {
    const source = await bundled(program);
    const loaded = [...source.matchAll(/from"(node:[^"]+)"/g)].map(([, name]) => name);
    const needless = [
      "node:http2",
      "node:https",
      "node:dns/promises",
      "node:child_process",
      "node:zlib",
    ];
    assert.deepEqual(needless.filter((name) => loaded.includes(name)), [], program.bundle);
    assert.doesNotMatch(source, /YAMLParseError|openMetricsContentType=/, program.bundle);
  }
});

Deno.test("no start reads the files of packages that are loaded on first use", async () => {
  for (const part of [...PROGRAMS, DAEMON, AGENT]) {
    const source = await bundled(part);
    assert.match(source, /import\(releaseUrl\+"\d+\.js"\)/, part.bundle);
    assert.doesNotMatch(source, /import\("\.\//, part.bundle);
  }
});

Deno.test("what wakes the agent of a job loads no module of Node.js before", async () => {
  const daemon = PROGRAMS[0]?.leaner;
  assert.ok(daemon);
  const source = await bundled(daemon);
  assert.deepEqual([...source.matchAll(/(?:from|import)"node:[^"]+"/g)].map(String), []);
  assert.ok(source.length < 20_000, `${source.length} bytes`);
});

Deno.test("both daemons can be turned into scripts, whose code is kept", async () => {
  for (const program of [DAEMON, AGENT]) {
    const { script, modules } = toScriptForm(await bundled(program));
    assert.ok(modules.includes("node:http"));
    assert.ok((0, eval)(script) instanceof Function);
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
  const source = await bundled(AGENT);
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

Deno.test("a bundle disposes of what is used once", async () => {
  const directory = await Deno.makeTempDir({ prefix: "bundle-" });
  try {
    const entry = `${directory}/entry.ts`;
    await Deno.writeTextFile(
      entry,
      `class Held { used = 0; [Symbol.dispose]() { disposed.push(this.used) } }
      const disposed: number[] = [];
      const open = () => new Held();
      function call() { using held = open(); return Object.keys(held).length; }
      function pass() { using held = open(); const place = { inner: held }; return use(place); }
      function use({ inner }: { inner: Held }) { inner.used = 2; return 1; }
      async function later() { await using held = Object.assign(open(), {
        used: 3,
        async [Symbol.asyncDispose]() { disposed.push(this.used) },
      }); return await held.used; }
      export const result = [call(), pass(), await later(), ...disposed];`,
    );
    const program = { entry, bundle: "out.js" };
    const signal = AbortSignal.timeout(60_000);
    const path = await bundle(program, new Map(), { root: ROOT, outDir: directory, signal });
    const { result } = await import(`file://${path}`);
    assert.deepEqual(result, [1, 1, 3, 0, 2, 3]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Returns the part of a daemon whose code is kept: nearly all of it. */
function partOf(program: Pick<Program, "bundle" | "rest"> | undefined) {
  assert.ok(program?.rest?.file !== undefined && program.rest.keepsCode === true);
  const { file, without = [] } = program.rest;
  return { entry: file, bundle: program.bundle, without };
}

async function bundled(program: Parameters<typeof bundle>[0]): Promise<string> {
  const outDir = await Deno.makeTempDir({ prefix: "bundle-" });
  try {
    const lazy = [
      ...LAZY_PACKAGES,
      ...PROGRAMS.flatMap(({ rest = [], leaner }) => [rest, leaner?.rest ?? []]).flat(),
    ];
    const packages = new Map(lazy.map(({ name }, at) => [name, `${at}.js`]));
    const signal = AbortSignal.timeout(60_000);
    return await Deno.readTextFile(
      await bundle(program, packages, { root: ROOT, outDir, signal }),
    );
  } finally {
    await Deno.remove(outDir, { recursive: true });
  }
}
