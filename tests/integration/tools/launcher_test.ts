import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { launcherText, LIB_PATH, PROGRAMS } from "../../../tools/build/layout.ts";

const TEMPLATE = new URL("../../../tools/build/launcher.sh", import.meta.url);
const OTHER = 4_242;
const isRoot = Deno.uid() === 0;

interface Launched {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function launch(
  program: string,
  env: Readonly<Record<string, string>>,
  options: { readonly cwd?: string; readonly umask?: string } = {},
): Promise<Launched> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `umask ${options.umask ?? "022"}; exec "$0" "$@"`, program, "version"],
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", ...env },
    ...options.cwd === undefined ? {} : { cwd: options.cwd },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function writeLauncher(path: string, origin?: string): Promise<void> {
  const [program] = PROGRAMS;
  assert.ok(program);
  const text = launcherText(await Deno.readTextFile(TEMPLATE), program, origin);
  await Deno.writeTextFile(path, text, { mode: 0o755 });
}

/** A release whose runtime prints its arguments, and a copy of a launcher elsewhere. */
async function setup(at: string, knowsOrigin: boolean) {
  const directory = await Deno.makeTempDir({ prefix: "launcher-" });
  const release = `${directory}/${at}`;
  const lib = `${release}/${LIB_PATH}`;
  await Deno.mkdir(lib, { recursive: true });
  await Deno.mkdir(`${directory}/usr/local/bin`, { recursive: true });
  await Deno.writeTextFile(`${lib}/deno`, '#!/bin/sh\necho "$(cat /proc/$$/comm): $*"\n', {
    mode: 0o755,
  });
  await Deno.symlink("deno", `${lib}/cicd-runner`);
  await Deno.writeTextFile(`${lib}/runner.js`, "");
  const copy = `${directory}/usr/local/bin/cicd-runner`;
  await writeLauncher(copy, knowsOrigin ? release : undefined);
  return {
    directory,
    release,
    lib,
    run: () => launch(copy, { HOME: `${directory}/home` }),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

Deno.test("a launcher copied alone finds the release it was built with", async () => {
  await using t = await setup("it's dist", true);
  const { code, stdout, stderr } = await t.run();
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^cicd-runner: run /);
  assert.ok(stdout.endsWith(`${t.lib}/runner.js version\n`), stdout);
});

Deno.test("a launcher copied alone finds the installed release", async () => {
  await using t = await setup("home/.local/lib/cicd-toolkit/releases/1", false);
  await Deno.symlink("releases/1", `${t.directory}/home/.local/lib/cicd-toolkit/current`);
  const { code, stdout, stderr } = await t.run();
  assert.equal(code, 0, stderr);
  // An upgrade moves the link on.
  assert.match(stdout, /\/current\/lib\/cicd-toolkit\/runner\.js version\n$/);
});

Deno.test("a launcher copied alone says what to do if there is no release", async () => {
  await using t = await setup("unpacked", false);
  const { code, stderr } = await t.run();
  assert.equal(code, 78);
  assert.match(stderr, /run install\.sh, or make a symlink/);
});

Deno.test("a launcher copied alone takes no release that every account can change", async () => {
  for (const open of ["", "/lib", `/${LIB_PATH}`]) {
    await using t = await setup("dist", true);
    await Deno.chmod(`${t.release}${open}`, 0o777);
    assert.equal((await t.run()).code, 78, open);
  }
});

Deno.test({
  name: "a launcher copied alone takes no release of another account, whatever it links to",
  ignore: !isRoot,
  async fn() {
    await using t = await setup("tmp/dist", true);
    // Root's runtime by a link, and a program of the attacker's beside it.
    await Deno.remove(`${t.lib}/deno`);
    await Deno.symlink("/bin/true", `${t.lib}/deno`);
    await Deno.remove(`${t.lib}/cicd-runner`);
    await Deno.writeTextFile(`${t.lib}/cicd-runner`, "#!/bin/sh\necho PWNED\n", { mode: 0o755 });
    const owned = await new Deno.Command("chown", {
      args: ["-hR", `${OTHER}:${OTHER}`, `${t.directory}/tmp`],
    }).output();
    assert.ok(owned.success);
    const { code, stdout } = await t.run();
    assert.deepEqual({ code, stdout }, { code: 78, stdout: "" });
    // Nor one of root's in a directory of the attacker's, who can exchange it.
    await Deno.chown(`${t.directory}/tmp/dist`, 0, 0);
    assert.equal((await t.run()).code, 78);
  },
});

/** A release with the real runtime, and a home with bytecode in the cache that is not of its source. */
async function plant() {
  const directory = await Deno.makeTempDir({ prefix: "launcher-" });
  await Deno.chmod(directory, 0o755);
  const lib = `${directory}/${LIB_PATH}`;
  const program = `${directory}/bin/cicd-runner`;
  await Deno.mkdir(lib, { recursive: true });
  await Deno.mkdir(`${directory}/bin`);
  await writeLauncher(program);
  await Deno.symlink(Deno.execPath(), `${lib}/deno`);
  await Deno.symlink(Deno.execPath(), `${lib}/cicd-runner`);
  const bundle = `${lib}/runner.js`;
  // V8 takes bytecode for that of a source of the same length.
  const says = (word: string) => `console.log("${word}"); function padding() {}`;
  const compile = async (word: string, cache: string) => {
    await Deno.writeTextFile(bundle, says(word));
    // It is stored by the second run.
    for (let run = 0; run < 3; run++) {
      const { stdout } = await launch(program, { HOME: directory, CICD_TOOLKIT_CACHE: cache });
      assert.equal(stdout, `${word}\n`);
    }
  };
  const home = `${directory}/home`;
  const cache = `${home}/.cache/cicd-toolkit/runtime`;
  await compile("PWNED", `${directory}/attack`);
  await compile("clean", cache);
  using attack = new DatabaseSync(`${directory}/attack/v8_code_cache_v2`);
  const planted = attack.prepare("SELECT data FROM codecache WHERE specifier LIKE 'file:%'").get();
  using target = new DatabaseSync(`${cache}/v8_code_cache_v2`);
  const { changes } = target.prepare("UPDATE codecache SET data = ? WHERE specifier LIKE 'file:%'")
    .run(planted?.["data"] ?? null);
  assert.equal(changes, 1);
  return {
    directory,
    home,
    cache,
    program,
    run: (options?: Parameters<typeof launch>[2], env = {}) =>
      launch(program, { HOME: home, ...env }, options),
    async giveAway(path: string) {
      const { success } = await new Deno.Command("chown", {
        args: ["-R", `${OTHER}:${OTHER}`, path],
      }).output();
      assert.ok(success);
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

Deno.test("a launcher executes bytecode from a cache of its own, as the next tests assume", async () => {
  await using t = await plant();
  assert.equal((await t.run()).stdout, "PWNED\n");
});

Deno.test("a launcher empties a cache that was open to others, and closes it", async () => {
  for (const mode of [0o777, 0o1777, 0o757]) {
    await using t = await plant();
    await Deno.chmod(t.cache, mode);
    assert.equal((await t.run()).stdout, "clean\n");
    assert.equal(((await Deno.stat(t.cache)).mode ?? 0) & 0o7777, 0o700);
  }
});

Deno.test("a launcher takes no cache below a directory that is open to others", async () => {
  await using t = await plant();
  await Deno.chmod(`${t.home}/.cache`, 0o777);
  assert.equal((await t.run()).stdout, "clean\n");
});

Deno.test({
  name: "a launcher takes no cache of another account's, nor leaves files with it",
  ignore: !isRoot,
  async fn(t) {
    await t.step("in the home of that account, as with sudo -E", async () => {
      await using it = await plant();
      await it.giveAway(it.home);
      assert.equal((await it.run()).stdout, "clean\n");
      await Deno.remove(`${it.home}/.cache`, { recursive: true });
      assert.equal((await it.run()).stdout, "clean\n");
      assert.deepEqual(await Array.fromAsync(Deno.readDir(it.home)), []);
    });
    await t.step("by a link to its own, which can be exchanged", async () => {
      await using it = await plant();
      await Deno.rename(it.cache, `${it.directory}/own`);
      await it.giveAway(it.home);
      await Deno.symlink(`${it.directory}/own`, it.cache);
      const runtime = `${it.directory}/${LIB_PATH}/cicd-runner`;
      await Deno.remove(runtime);
      await Deno.writeTextFile(runtime, '#!/bin/sh\necho "$DENO_DIR"\n', { mode: 0o755 });
      assert.equal((await it.run()).stdout, `${it.directory}/own\n`);
    });
    await t.step("in a directory that it was told to use", async () => {
      await using it = await plant();
      await it.giveAway(it.cache);
      for (const more of [{}, { CACHE_DIRECTORY: it.cache }]) {
        const { stdout } = await it.run({}, { CICD_TOOLKIT_CACHE: it.cache, ...more });
        assert.equal(stdout, "clean\n");
      }
    });
    await t.step("a single file in its own", async () => {
      await using it = await plant();
      await it.giveAway(`${it.cache}/v8_code_cache_v2`);
      assert.equal((await it.run()).stdout, "clean\n");
    });
  },
});

Deno.test("a launcher starts no program to examine what the service manager has made", async () => {
  await using it = await plant();
  const marker = `${it.directory}/listed`;
  await Deno.mkdir(`${it.directory}/tools`);
  await Deno.writeTextFile(
    `${it.directory}/tools/ls`,
    `#!/bin/sh\n: >'${marker}'\nexec /bin/ls "$@"\n`,
    { mode: 0o755 },
  );
  const isListed = () => Deno.stat(marker).then(() => true, () => false);
  const env = {
    CICD_TOOLKIT_CACHE: it.cache,
    PATH: `${it.directory}/tools:${Deno.env.get("PATH")}`,
  };
  await it.run({}, { ...env, CACHE_DIRECTORY: it.cache });
  assert.equal(await isListed(), false);
  await it.run({}, { ...env, CACHE_DIRECTORY: it.directory });
  assert.equal(await isListed(), true);
});

Deno.test("a launcher makes a cache that only its account can enter, under any umask", async () => {
  await using t = await plant();
  await Deno.remove(`${t.home}/.cache`, { recursive: true });
  assert.equal((await t.run({ umask: "000" })).stdout, "clean\n");
  for (const path of [t.cache, `${t.home}/.cache/cicd-toolkit`]) {
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o700, path);
  }
});

Deno.test("a launcher loads nothing from TMPDIR, nor a package from around it", async () => {
  await using t = await plant();
  await Deno.remove(t.cache, { recursive: true });
  await Deno.writeTextFile(
    `${t.directory}/${LIB_PATH}/runner.js`,
    'console.log(await import("planted").then(() => "PWNED", () => "clean"));',
  );
  const planted = `${t.directory}/node_modules/planted`;
  await Deno.mkdir(planted, { recursive: true });
  await Deno.writeTextFile(`${t.directory}/package.json`, '{"dependencies":{"planted":"1.0.0"}}');
  await Deno.writeTextFile(`${planted}/package.json`, '{"name":"planted","version":"1.0.0"}');
  await Deno.writeTextFile(`${planted}/index.js`, "");
  const temporary = `${t.directory}/tmp`;
  await Deno.mkdir(temporary);
  // Whoever opens it waits for ever.
  const cache = `${temporary}/deno-compile-cicd-runner.cache`;
  assert.ok((await new Deno.Command("mkfifo", { args: [cache] }).output()).success);
  const { stdout, stderr } = await t.run({ cwd: t.directory }, { TMPDIR: temporary });
  assert.equal(stdout, "clean\n", stderr);
  const left = await Array.fromAsync(Deno.readDir(temporary), ({ name }) => name);
  assert.deepEqual(left, ["deno-compile-cicd-runner.cache"]);
});
