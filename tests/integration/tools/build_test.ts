import assert from "node:assert/strict";
import { type BuildInfo, parseBuildInfo } from "@lib/features/install/build_info.ts";
import { assemble } from "../../../tools/build/assemble.ts";
import { LAZY_PACKAGES } from "../../../tools/build/bundle.ts";
import { DENO_VERSION, LIB_PATH } from "../../../tools/build/layout.ts";
import { verifyBuild } from "../../../tools/build/verify.ts";
import { whyNoExecutables } from "../../support/release.ts";

const ROOT = new URL("../../../", import.meta.url).pathname.replace(/\/$/, "");
const TIMEOUT_MS = 240_000;

/** Runs the build's command line without the network. */
async function build(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${ROOT}/tools/build.ts`, "--offline", ...args],
    env,
    stdin: "null",
    stdout: "null",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

/** Kind, mode, time and content of everything in a directory, by path. */
async function listTree(path: string, below = ""): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    const from = `${path}/${name}`;
    const { isSymlink, mode, mtime } = await Deno.lstat(from);
    const content = isSymlink
      ? await Deno.readLink(from)
      : isDirectory
      ? "/"
      : new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(from))).toHex();
    const facts = [((mode ?? 0) & 0o7777).toString(8), mtime?.toISOString(), content];
    found.set(`${below}${name}`, facts.join(" "));
    if (!isDirectory) continue;
    for (const each of await listTree(from, `${below}${name}/`)) found.set(...each);
  }
  return found;
}

/** Builds twice in different places, at different times, under different umasks. */
async function buildTwice(layout: BuildInfo["layout"], directory: string) {
  const info = { version: "1.2.3", layout, deno: Deno.version.deno, target: Deno.build.target };
  const outs = [`${directory}/${layout}`, `${directory}/another-${layout}`] as const;
  for (const [index, outDir] of outs.entries()) {
    const umask = Deno.umask(index === 0 ? 0o077 : 0);
    try {
      await Deno.mkdir(outDir);
      await assemble({
        root: ROOT,
        outDir,
        info,
        epochSeconds: 1_700_000_000,
        progress: { step: () => ({ [Symbol.dispose]() {} }), warn() {}, done() {} },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } finally {
      Deno.umask(umask);
    }
  }
  const [first, second] = [await listTree(outs[0]), await listTree(outs[1])];
  assert.deepEqual(first, second);
  return { out: outs[0], files: first };
}

/** What an executable tells its runtime, such as its permissions. */
function metadataOf(executable: Uint8Array): Readonly<Record<string, unknown>> {
  const text = new TextDecoder("latin1").decode(executable);
  const [metadata = ""] = /\{"argv":\[.*?"app_name":"[^"]*"\}/.exec(text) ?? [];
  return JSON.parse(metadata);
}

Deno.test("builds are reproducible, closed to others, and embed what they need", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "cicd-build-" });
  const given = Deno.env.get("DENORT_BIN");
  try {
    await t.step("with a shared runtime", async () => {
      const { out, files } = await buildTwice("shared-runtime", directory);
      for (const [path, facts] of files) {
        assert.match(facts, /^(?:777 .* deno|(?:755|644) 2023-11-14T22:13:20\.000Z .*)$/, path);
      }
      for await (const { name } of Deno.readDir(`${out}/${LIB_PATH}`)) {
        if (!name.endsWith(".js")) continue;
        // It searches the directories above for packages, and /tmp may be one of them.
        const bundle = await Deno.readTextFile(`${out}/${LIB_PATH}/${name}`);
        assert.doesNotMatch(bundle, /\bcreateRequire\b/, name);
      }
    });
    await t.step("as executables", async () => {
      // Any executable can take the place of the slim runtime until it has to run.
      Deno.env.set("DENORT_BIN", "/bin/true");
      const { out } = await buildTwice("executable", directory);
      for (const [name, entry] of [["cicd-runner", "runner.js"], ["cicd-agent", "agent.js"]]) {
        const executable = await Deno.readFile(`${out}/bin/${name}`);
        const { permissions, ...facts } = metadataOf(executable);
        // With a key, bytecode is read from the temporary directory, whoever wrote it.
        assert.equal(facts["code_cache_key"], null);
        const { v8_flags: v8Flags } = facts;
        assert.ok(Array.isArray(v8Flags) && v8Flags.includes("--expose-gc"), String(v8Flags));
        assert.equal(facts["entrypoint_key"], entry);
        assert.equal(facts["app_name"], name);
        assert.equal(facts["node_modules"], null);
        const { prompt, ...lists } = Object(permissions);
        assert.equal(prompt, false);
        for (const [list, value] of Object.entries(lists)) {
          assert.deepEqual(value, list.startsWith("allow_") ? [] : null, list);
        }
        const text = new TextDecoder("latin1").decode(executable);
        for (const { name: lazy } of LAZY_PACKAGES) {
          const stem = lazy.replace(/^.*\//, "").replace(/\.ts$/, "");
          assert.match(text, new RegExp(`${stem.replaceAll(".", "\\.")}-[0-9a-f]{12}\\.js`));
        }
      }
    });
  } finally {
    if (given === undefined) Deno.env.delete("DENORT_BIN");
    else Deno.env.set("DENORT_BIN", given);
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("without our flag, an executable would have a cache in the temporary directory", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cicd-build-" });
  try {
    await Deno.writeTextFile(`${directory}/main.js`, "console.log(1);\n");
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["compile", "--quiet", "--no-config", "--no-lock", "--output=main", "main.js"],
      cwd: directory,
      env: { DENORT_BIN: "/bin/true" },
    }).output();
    assert.equal(code, 0);
    const facts = metadataOf(await Deno.readFile(`${directory}/main`));
    assert.equal(typeof facts["code_cache_key"], "number");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a build says that it falls back to a shared runtime, and why", async () => {
  // It fails afterwards: there is nothing to build.
  const args = ["--root=/nonexistent"];
  const { stderr } = await build(args, { DENORT_BIN: "", DENO_DIR: "/nonexistent" });
  assert.match(stderr, /WARNING {2}no executables, but a shared runtime: denort-.* is not cached/);
});

Deno.test("a build refuses a slim runtime that is missing, of another machine, or of none", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cicd-build-" });
  try {
    const foreign = `${directory}/denort`;
    const header = (await Deno.readFile("/bin/true")).subarray(0, 64);
    const isArm = header[18] === 183;
    header[18] = isArm ? 62 : 183;
    await Deno.writeFile(foreign, header, { mode: 0o755 });
    const refused = async (given: string, why: RegExp) => {
      for (const layout of ["auto", "executable"]) {
        const args = [`--layout=${layout}`, `--out=${directory}/out`];
        const { code, stderr } = await build(args, { DENORT_BIN: given });
        assert.equal(code, 1);
        assert.match(stderr, why);
        assert.doesNotMatch(stderr, /bundle/);
      }
    };
    await refused(`${directory}/gone`, /DENORT_BIN names ".*\/gone", which does not exist/);
    await refused(foreign, isArm ? /it is for x86_64-linux/ : /it is for aarch64-linux/);
    await refused(import.meta.filename ?? "", /it is not an executable of a known machine/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a build for another machine takes no executable of this one", async () => {
  const foreign = Deno.build.arch === "x86_64" ? "aarch64" : "x86_64";
  const target = `--target=${foreign}-unknown-linux-gnu`;
  const given = await build([target], { DENORT_BIN: "/bin/true" });
  assert.equal(given.code, 1);
  assert.match(given.stderr, /DENORT_BIN cannot be run here to check its version/);
  const shared = await build([target, "--layout=shared-runtime"]);
  assert.equal(shared.code, 1);
  assert.match(shared.stderr, /Cannot build a shared runtime for /);
  // Of several, none is built if one cannot be.
  const all = await build(["--target=all"], { DENORT_BIN: "/bin/true" });
  assert.equal(all.code, 1);
  assert.doesNotMatch(all.stderr, /bundle/);
  assert.equal((await build(["--target=x86_64-unknown-windows"])).code, 64);
});

Deno.test("verifyBuild() refuses a program that does not run, or that is another build", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cicd-build-" });
  try {
    const info: BuildInfo = {
      version: "1.2.3",
      layout: "executable",
      deno: "2.9.6",
      target: Deno.build.target,
      commit: "c0ffee",
    };
    const program = `${directory}/bin/cicd-runner`;
    await Deno.mkdir(`${directory}/bin`);
    const verify = async (script: string) => {
      await Deno.writeTextFile(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      await verifyBuild(directory, info, AbortSignal.timeout(TIMEOUT_MS));
    };
    const says = (facts: object) => `echo '${JSON.stringify({ ...info, date: null, ...facts })}'`;
    await verify(says({}));
    // What a slim runtime of another version does.
    await assert.rejects(verify("kill -SEGV $$"), /Cannot run ".*cicd-runner version/);
    await assert.rejects(verify("exit 0"), /version --json" prints ""/);
    await assert.rejects(verify(says({ deno: "2.7.11" })), /says deno "2\.7\.11", not "2\.9\.6"/);
    await assert.rejects(verify(says({ version: "1.2.2" })), /says version "1\.2\.2"/);
    await assert.rejects(verify(says({ layout: "source" })), /says layout "source"/);
    await assert.rejects(verify(says({ commit: null })), /says commit null, not "c0ffee"/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("every place that fetches Deno names the version that the programs are made for", async () => {
  const places = {
    "install.sh": /^deno_version=(\S+)$/m,
    ".ci/deno.sh": /^version=(\S+)$/m,
    ".github/workflows/release.yml": /deno@([\d.]+)/,
    "README.md": /deno@([\d.]+)/,
    "docs/operations.md": /the Deno version it was made for, ([\d.]+),/,
  };
  for (const [file, pattern] of Object.entries(places)) {
    const [, version] = pattern.exec(await Deno.readTextFile(`${ROOT}/${file}`)) ?? [];
    assert.equal(version, DENO_VERSION, file);
  }
});

const noExecutables = await whyNoExecutables();

Deno.test({
  name: "a compiled program opens no cache that another account planted" +
    (noExecutables === undefined ? "" : `: SKIPPED, it cannot be run: ${noExecutables}`),
  ignore: noExecutables !== undefined,
  async fn() {
    const directory = await Deno.makeTempDir({ prefix: "cicd-build-" });
    try {
      const made = await build(["--layout=executable", `--out=${directory}/out`]);
      assert.equal(made.code, 0, made.stderr);
      const info = parseBuildInfo(
        await Deno.readTextFile(`${directory}/out/${LIB_PATH}/build.json`),
      );
      assert.equal(info?.layout, "executable");
      const shared = `${directory}/tmp`;
      await Deno.mkdir(shared);
      // The agent has no command that ends well by itself.
      for (const [name, argument, wanted] of [["runner", "version", 0], ["agent", "?", 64]]) {
        // Whoever opens it waits for ever.
        const planted = `${shared}/deno-compile-cicd-${name}.cache`;
        assert.ok((await new Deno.Command("mkfifo", { args: [planted] }).output()).success);
        const { code } = await new Deno.Command(`${directory}/out/bin/cicd-${name}`, {
          args: [String(argument)],
          env: { TMPDIR: shared },
          stdin: "null",
          signal: AbortSignal.timeout(30_000),
        }).output();
        assert.equal(code, wanted);
        await Deno.remove(planted);
      }
      assert.deepEqual(await Array.fromAsync(Deno.readDir(shared)), []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
