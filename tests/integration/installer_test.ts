import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url).pathname;
const OTHER = 4_242;
const isRoot = Deno.uid() === 0;
const DENO_VERSION = "2.9.6";

interface Facts {
  readonly version?: string;
  readonly deno?: string;
  readonly target?: string;
}

const BUILT: Required<Facts> = { version: "1.2.3", deno: "2.9.6", target: Deno.build.target };

/** A release of scripts; its program says `facts` and where it was run. */
async function setup(facts: Facts = {}, built: Facts = BUILT) {
  const directory = await Deno.makeTempDir({ prefix: "cicd-installer-" });
  await Deno.chmod(directory, 0o755);
  const release = `${directory}/release`;
  const home = `${directory}/home`;
  const lib = `${release}/lib/cicd-toolkit`;
  await Deno.mkdir(`${lib}/units`, { recursive: true });
  await Deno.mkdir(`${release}/bin`);
  await Deno.mkdir(home);
  await Deno.writeTextFile(`${lib}/build.json`, JSON.stringify(built, null, 2) + "\n");
  await Deno.writeTextFile(`${lib}/units/cicd-runner.service`, "");
  await Deno.copyFile(`${ROOT}install.sh`, `${release}/install.sh`);
  const says = JSON.stringify({ ...built, ...facts });
  for (const name of ["cicd-runner", "cicd-agent"]) {
    const program = `#!/bin/sh
echo "$TMPDIR" >>"${directory}/ran"
case $1 in
version) echo '${says}' ;;
uninstall) echo --purge ;;
*) echo cicd-runner ;;
esac
`;
    await Deno.writeTextFile(`${release}/bin/${name}`, program, { mode: 0o755 });
  }
  const prefix = `${home}/.local`;
  return {
    directory,
    release,
    home,
    prefix,
    install: (
      args: readonly string[] = [],
      { umask = "022", env = {} }: {
        readonly umask?: string;
        readonly env?: Readonly<Record<string, string>>;
      } = {},
    ) =>
      runShell(`umask ${umask}; exec sh ${release}/install.sh "$@"`, args, { HOME: home, ...env }),
    hasRun: () => Deno.readTextFile(`${directory}/ran`).catch(() => ""),
    current: () => Deno.readLink(`${prefix}/lib/cicd-toolkit/current`).catch(() => undefined),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

async function runShell(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
) {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", script, "sh", ...args],
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function giveAway(path: string): Promise<void> {
  const args = ["-hR", `${OTHER}:${OTHER}`, path];
  assert.ok((await new Deno.Command("chown", { args }).output()).success);
}

Deno.test("install.sh installs nothing that other accounts can change, under any umask", async () => {
  await using t = await setup();
  const { code, stderr } = await t.install([], { umask: "000" });
  assert.equal(code, 0, stderr);
  const open = ["find", t.prefix, "!", "-type", "l", "-perm", "/022"];
  assert.deepEqual((await runShell('"$@"', open, {})).stdout, "");
});

Deno.test("install.sh refuses a place that every account can write to", async () => {
  for (const place of ["", "/bin", "/lib", "/lib/cicd-toolkit", "/lib/cicd-toolkit/releases"]) {
    await using t = await setup();
    await Deno.mkdir(`${t.prefix}${place}`, { recursive: true });
    await Deno.chmod(`${t.prefix}${place}`, 0o777);
    const { code, stderr } = await t.install();
    assert.equal(code, 1, place);
    assert.match(stderr, /every account can write to \S+ and run code as yours: chmod o-w it, or/);
    assert.equal(await t.hasRun(), "");
  }
});

Deno.test({
  name: "install.sh as root neither installs to nor runs what another account can change",
  ignore: !isRoot,
  async fn(t) {
    await t.step("a prefix in that account's home", async () => {
      await using it = await setup();
      await giveAway(it.home);
      const { code, stderr } = await it.install();
      assert.equal(code, 1);
      assert.match(stderr, /belongs to another account \(uid 4242\).*: use another --prefix/);
      assert.equal(await it.hasRun(), "");
    });
    await t.step("an installation there, to remove it", async () => {
      await using it = await setup();
      await it.install();
      await Deno.remove(`${it.directory}/ran`);
      await giveAway(it.home);
      const { code, stderr } = await it.install(["--uninstall"]);
      assert.equal(code, 1);
      assert.match(stderr, /belongs to another account/);
      assert.equal(await it.hasRun(), "");
    });
    await t.step("a link of that account to a place of root's", async () => {
      await using it = await setup();
      await Deno.mkdir(`${it.directory}/opt`);
      await Deno.mkdir(`${it.directory}/theirs`);
      await Deno.symlink(`${it.directory}/opt`, `${it.directory}/theirs/link`);
      await giveAway(`${it.directory}/theirs`);
      const { code } = await it.install(["--prefix", `${it.directory}/theirs/link`]);
      assert.equal(code, 1);
      assert.equal(await it.hasRun(), "");
    });
    await t.step("a temporary directory", async () => {
      await using it = await setup();
      const temporary = `${it.directory}/tmp`;
      await Deno.mkdir(temporary);
      await giveAway(temporary);
      const { code, stderr } = await it.install([], { env: { TMPDIR: temporary } });
      assert.equal(code, 1);
      assert.match(stderr, /belongs to another account .*: set TMPDIR to a directory of your own/);
      assert.deepEqual(await Array.fromAsync(Deno.readDir(temporary)), []);
    });
    await t.step("a file in a release that is installed", async () => {
      await using it = await setup();
      await it.install();
      await Deno.remove(`${it.directory}/ran`);
      const program = `${it.prefix}/lib/cicd-toolkit/${await it.current()}/bin/cicd-runner`;
      await giveAway(program);
      const { code, stderr } = await it.install();
      assert.equal(code, 1);
      assert.match(stderr, /another account can change .*\/bin\/cicd-runner: remove /);
      assert.equal(await it.hasRun(), "");
    });
  },
});

Deno.test("install.sh refuses a release that is not what it says, and keeps the old one", async () => {
  const other = Deno.build.arch === "x86_64" ? "aarch64" : "x86_64";
  const target = `${other}-unknown-linux-gnu`;
  const cases: readonly (readonly [Facts, Facts, RegExp])[] = [
    [{ deno: "2.7.11" }, BUILT, /says deno 2\.9\.6, its cicd-runner 2\.7\.11: nothing was changed/],
    [{ version: "1.2.2" }, BUILT, /says version 1\.2\.3, its cicd-runner 1\.2\.2/],
    [{ version: "" }, BUILT, /says version 1\.2\.3, its cicd-runner nothing/],
    [{}, { ...BUILT, target }, /the release is for \S+, this machine is \S+: nothing was changed/],
  ];
  for (const [facts, built, why] of cases) {
    await using t = await setup(facts, built);
    const { code, stderr } = await t.install();
    assert.equal(code, 1);
    assert.match(stderr, why);
    assert.equal(await t.current(), undefined);
    const releases = Deno.readDir(`${t.prefix}/lib/cicd-toolkit/releases`);
    assert.deepEqual(await Array.fromAsync(releases), []);
  }
});

/** A checkout whose build only says how it was started, and a Deno that says its version. */
async function setupCheckout() {
  const t = await setup();
  const checkout = `${t.directory}/checkout`;
  await Deno.mkdir(`${checkout}/tools`, { recursive: true });
  await Deno.writeTextFile(`${checkout}/tools/build.ts`, "");
  await Deno.copyFile(`${ROOT}install.sh`, `${checkout}/install.sh`);
  const putDeno = async (path: string, version: string) => {
    await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
    const script = `#!/bin/sh
[ "$1" = --version ] && { echo "deno ${version} (stable)"; exit; }
echo "$0 $HOME $*" >>"${t.directory}/built"
for out; do :; done
cp -R "${t.release}" "$out"
`;
    await Deno.writeTextFile(path, script, { mode: 0o755 });
  };
  // Without the tools of this machine, which may have a Deno or npx.
  const bin = `${t.directory}/path`;
  await Deno.mkdir(bin);
  const tools =
    "sh id dirname mktemp rm mkdir ls awk sed cp cat find sort sha256sum cut readlink " +
    "ln mv chmod uname head cmp ps env grep";
  for (const tool of tools.split(" ")) {
    const { stdout } = await runShell('command -v "$1"', [tool], {});
    await Deno.symlink(stdout.trim(), `${bin}/${tool}`);
  }
  return {
    ...t,
    bin,
    putDeno,
    build: (env: Readonly<Record<string, string>> = {}) =>
      runShell(`exec sh ${checkout}/install.sh`, [], { PATH: bin, HOME: t.home, ...env }),
    built: () => Deno.readTextFile(`${t.directory}/built`).catch(() => ""),
  };
}

Deno.test("install.sh builds with the version that the tree was made for, and no other", async () => {
  await using t = await setupCheckout();
  const none = await t.build();
  assert.equal(none.code, 1);
  assert.match(none.stderr, /this tree needs Deno 2\.9\.6, and none was found\. Install it with\n/);
  await t.putDeno(`${t.bin}/deno`, "2.7.11");
  const old = await t.build();
  assert.equal(old.code, 1);
  assert.match(old.stderr, /this tree needs Deno 2\.9\.6, not 2\.7\.11 \(\S+\/deno\)\. Install it/);
  assert.match(old.stderr, /npm install --global deno@2\.9\.6/);
  await t.putDeno(`${t.home}/.deno/bin/deno`, DENO_VERSION);
  // The one that was asked for is not silently replaced.
  const asked = await t.build({ DENO: `${t.bin}/deno` });
  assert.equal(asked.code, 1);
  const gone = await t.build({ DENO: `${t.directory}/gone` });
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /needs Deno 2\.9\.6, not something else \(\S+\/gone\)/);
  assert.equal(await t.built(), "");
  const found = await t.build();
  assert.equal(found.code, 0, found.stderr);
  assert.ok((await t.built()).startsWith(`${t.home}/.deno/bin/deno ${t.home} run -A`));
});

Deno.test("install.sh builds launchers that do not look for the directory of the build", async () => {
  await using t = await setupCheckout();
  await t.putDeno(`${t.bin}/deno`, DENO_VERSION);
  assert.equal((await t.build()).code, 0);
  // Anyone could make it again once the installer has removed it.
  assert.match(await t.built(), / tools\/build\.ts --relocatable --out /);
});

Deno.test({
  name: "install.sh as root builds with no program or cache of another account's home",
  ignore: !isRoot,
  async fn() {
    await using t = await setupCheckout();
    const theirs = `${t.directory}/theirs`;
    await t.putDeno(`${theirs}/.deno/bin/deno`, DENO_VERSION);
    await giveAway(theirs);
    assert.equal((await t.build({ HOME: theirs })).code, 1);
    assert.equal(await t.built(), "");
    await t.putDeno(`${t.bin}/deno`, DENO_VERSION);
    const prefix = ["--prefix", `${t.directory}/opt`];
    const script = `exec sh ${t.directory}/checkout/install.sh "$@"`;
    const { code, stderr } = await runShell(script, prefix, { PATH: t.bin, HOME: theirs });
    assert.equal(code, 0, stderr);
    const [, home = ""] = (await t.built()).split(" ");
    assert.match(home, /\/cicd-toolkit\.[^/]+$/);
  },
});
