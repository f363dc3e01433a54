import assert from "node:assert/strict";
import * as v from "valibot";
import { parse } from "yaml";
import { RELEASE_TARGETS } from "../../../tools/build/layout.ts";
import { parseChecksums } from "../../../tools/release/checksums.ts";
import { parsePublicKey, verify } from "../../../tools/release/minisign.ts";
import { serveRelease } from "../../../tools/release/smoke.ts";
import { makeSigningKey } from "../../support/signing_key.ts";

const ROOT = new URL("../../..", import.meta.url).pathname.replace(/\/$/, "");
const NAME = `${Deno.build.os}-${Deno.build.arch === "x86_64" ? "amd64" : "arm64"}`;
const { version: VERSION } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
const DEB = `cicd-toolkit_${VERSION}_${NAME.replace(/^.*-/, "")}.deb`;
const RPM = `cicd-toolkit-${VERSION}-1.${Deno.build.arch}.rpm`;
const ARCHIVE = `cicd-toolkit-${NAME}.tar.gz`;

const BASE_URL = "https://example.org/us/cicd-toolkit/releases/download/v{version}";

interface Done {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  argv: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Done> {
  const [program = "", ...args] = argv;
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    stdin: "null",
    signal: AbortSignal.timeout(900_000),
    ...options,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** The name of a step and whether it is left out, which its name then says with the reason. */
function needs(name: string, what: string, isMissing: boolean) {
  return { name: isMissing ? `${name}: SKIPPED, it needs ${what}` : name, ignore: isMissing };
}

async function isInstalled(program: string): Promise<boolean> {
  return (await run(["sh", "-c", `command -v ${program}`])).code === 0;
}

/** Makes a release; the same time for each, whatever is in the tree. */
async function release(out: string, ...args: readonly string[]): Promise<void> {
  const tool = [Deno.execPath(), "run", "--allow-all", "--quiet", `${ROOT}/tools/release.ts`];
  const here = `--target=${Deno.build.target}`;
  const who = "--maintainer=A Person <person@example.org>";
  const where = `--base-url=${BASE_URL}`;
  const common = ["--layout=shared-runtime", "--offline", here, who, where, `--out=${out}`];
  const done = await run([...tool, ...common, ...args], {
    env: { SOURCE_DATE_EPOCH: "1700000000" },
  });
  assert.equal(done.code, 0, done.stderr);
}

/** Installs the RPM in an empty root and compares it with the unpacked Debian package. */
async function compareInstalled(directory: string, deb: string, rpm: string): Promise<void> {
  const [unpacked, root] = [`${directory}/unpacked`, `${directory}/root`];
  const must = async (argv: readonly string[]) => {
    const done = await run(argv);
    assert.deepEqual({ code: done.code, stderr: done.stderr }, { code: 0, stderr: "" });
    return done.stdout;
  };
  await must(["dpkg-deb", "--extract", deb, unpacked]);
  // Its scripts need a shell, and a machine whose systemd does not run is no reason to fail.
  await Deno.mkdir(`${root}/bin`, { recursive: true });
  const where = (await must(["sh", "-c", "command -v busybox"])).trim();
  await must(["cp", "--dereference", where, `${root}/bin/sh`]);
  // Debian's own advises against its use, on Debian.
  const isDebian = await Deno.stat("/etc/debian_version").then(() => true, () => false);
  const inRoot = ["rpm", "--root", root, ...isDebian ? ["--force-debian"] : []];
  await must([...inRoot, "--install", "--nodeps", rpm]);
  assert.equal(await must([...inRoot, "--verify", "--nodeps", "cicd-toolkit"]), "");
  const list = async (tree: string) => {
    const format = ["-not", "-type", "d", "-printf", "%M %U %G %s %P -> %l\\n"];
    const lines = await must(["find", `${tree}/usr`, "-not", "-path", "*/rpm/*", ...format]);
    return lines.trimEnd().replace("zsh/vendor-completions", "zsh/site-functions").split("\n")
      .filter((line) => !/share\/(?:lintian|doc\/cicd-toolkit\/(?:copyright|changelog))/.test(line))
      .sort();
  };
  assert.deepEqual(await list(root), await list(unpacked));
  for (const each of ["bin", "lib/cicd-toolkit", "lib/systemd", "share/man", "share/fish"]) {
    await must(["diff", "--recursive", `${unpacked}/usr/${each}`, `${root}/usr/${each}`]);
  }
  await must([...inRoot, "--erase", "cicd-toolkit"]);
  assert.equal(await must(["find", root, "-name", "*cicd*"]), "");
}

/** What `formula_stand_in.rb` prints. */
const formula = v.object({
  name: v.literal("CicdToolkit"),
  desc: v.string(),
  homepage: v.pipe(v.string(), v.url()),
  license: v.literal("MIT"),
  downloads: v.array(v.object({ where: v.array(v.string()), url: v.string(), sha256: v.string() })),
  done: v.array(v.array(v.string())),
  caveats: v.array(v.string()),
  service: v.object({ run: v.array(v.string()), keep_alive: v.literal(true) }),
  test: v.literal(true),
});

const sbom = v.object({
  bomFormat: v.literal("CycloneDX"),
  specVersion: v.literal("1.6"),
  version: v.literal(1),
  metadata: v.object({ component: v.object({ name: v.literal("cicd-toolkit") }) }),
  components: v.pipe(
    v.array(v.object({
      type: v.picklist(["library", "platform"]),
      "bom-ref": v.string(),
      name: v.string(),
      version: v.string(),
      scope: v.picklist(["required", "excluded"]),
      purl: v.pipe(v.string(), v.regex(/^pkg:(npm|github)\/[%a-zA-Z0-9._/-]+@[a-zA-Z0-9.%-]+$/)),
      hashes: v.optional(v.array(v.object({
        alg: v.literal("SHA-512"),
        content: v.pipe(v.string(), v.regex(/^[0-9a-f]{128}$/)),
      }))),
    })),
    v.minLength(100),
  ),
});

Deno.test("a release can be checked, installed from loopback, and made again", async (t) => {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "release-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const [first, second] = [`${directory}/first`, `${directory}/second`];
  const publicKey = await makeSigningKey(`${directory}/key`);
  const key = `--key=${directory}/key`;
  // The first is also installed and run.
  await Promise.all([release(first, key), release(second, key, "--no-try")]);
  const debs = await isInstalled("dpkg-deb");
  const rpms = await isInstalled("rpmbuild");
  const read = (name: string) => Deno.readTextFile(`${first}/${name}`);

  await t.step("sha256sum accepts the checksums, all together and each", async () => {
    const names = [...Deno.readDirSync(first)].map(({ name }) => name).sort();
    const files = [
      ...[ARCHIVE, "THIRD_PARTY_LICENSES", "install.sh", "cicd-toolkit-docs.tar.gz"],
      ...["cicd-toolkit.rb", "cicd-toolkit.cdx.json", "cicd-toolkit.intoto.json"],
      ...debs ? [DEB] : [],
      ...rpms ? [RPM] : [],
    ].sort();
    const sums = [...files, ...files.map((name) => `${name}.sha256`)];
    const expected = [...sums, "checksums.txt", "checksums.txt.minisig"].sort();
    assert.deepEqual(names, expected);
    const each = files.map((name) => `${name}.sha256`);
    const done = await run(["sha256sum", "--check", "checksums.txt", ...each], { cwd: first });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(done.stdout, `${files.map((name) => `${name}: OK\n`).join("")}`.repeat(2));
  });

  await t.step("the same sources make the same bytes in another place", async () => {
    const done = await run(["diff", "--recursive", first, second]);
    assert.deepEqual(done, { code: 0, stdout: "", stderr: "" });
  });

  await t.step("minisign accepts the signature", async () => {
    const [content, text] = [await read("checksums.txt"), await read("checksums.txt.minisig")];
    const by = await parsePublicKey(publicKey);
    const comment = await verify(new TextEncoder().encode(content), text, by);
    assert.equal(comment, `cicd-toolkit ${VERSION}`);
    if (!await isInstalled("minisign")) return;
    const done = await run(["minisign", "-Vm", `${first}/checksums.txt`, "-P", publicKey]);
    assert.equal(done.code, 0, done.stderr);
  });

  await t.step(
    "the bill of materials has every package of the lock, and the licences what is in the programs",
    async () => {
      const { components } = v.parse(sbom, JSON.parse(await read("cicd-toolkit.cdx.json")));
      const { npm } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.lock`));
      assert.equal(components.length, Object.keys(npm).length + 1);
      const scope = (name: string) => components.find((each) => each.name === name)?.scope;
      const text = await read("THIRD_PARTY_LICENSES");
      const parts = new Map(
        text.split(`${"=".repeat(100)}\n`).slice(1).map((part) => {
          const [title = "", license = "", , ...rest] = part.split("\n");
          assert.match(license, /^Licence: \S/);
          return [title, rest.join("\n").trim()];
        }),
      );
      for (const { name, version, scope } of components) {
        const title = name === "deno" ? name : `${name} ${version}`;
        const has = parts.get(title);
        assert.equal(has === undefined, scope === "excluded", title);
        // A text, or the reason why there is none.
        if (has !== undefined) {
          assert.match(has, /warrant|no file with the text of its licence/i, title);
        }
      }
      assert.equal(parts.size, components.filter(({ scope }) => scope === "required").length);
      assert.deepEqual(
        ["deno", "valibot", "dockerode", "fast-check", "typescript"].map(scope),
        ["required", "required", "required", "excluded", "excluded"],
      );
    },
  );

  await t.step("the provenance is about each file", async () => {
    const { subject } = JSON.parse(await read("cicd-toolkit.intoto.json"));
    const sums = await read("checksums.txt");
    for (const { name, digest } of subject) assert.ok(sums.includes(`${digest.sha256}  ${name}\n`));
    assert.equal(subject.length, 6 + Number(debs) + Number(rpms));
  });

  await t.step({
    ...needs(
      "lintian has nothing against the Debian package",
      "lintian",
      !debs || !await isInstalled("lintian"),
    ),
    fn: async () => {
      const checks = ["--fail-on", "error,warning", "--tag-display-limit", "0", "--quiet"];
      const done = await run(["lintian", ...checks, `${first}/${DEB}`], { cwd: directory });
      assert.equal(done.code, 0, done.stdout);
    },
  });

  await t.step({
    ...needs(
      "rpmlint has nothing against the RPM",
      "rpmbuild and rpmlint",
      !rpms || !await isInstalled("rpmlint"),
    ),
    fn: async () => {
      const meant = `--rpmlintrc=${ROOT}/tools/release/package/rpmlintrc`;
      const done = await run(["rpmlint", meant, `${first}/${RPM}`], { cwd: directory });
      assert.equal(done.code, 0, done.stdout);
      assert.match(done.stdout, / 0 errors, 0 warnings/);
    },
  });

  await t.step({
    ...needs(
      "the RPM installs the files of the Debian package, and leaves none",
      "root, rpmbuild and busybox",
      !debs || !rpms || Deno.uid() !== 0 || !await isInstalled("busybox"),
    ),
    fn: () => compareInstalled(directory, `${first}/${DEB}`, `${first}/${RPM}`),
  });

  await t.step({
    ...needs(
      "Homebrew's formula is valid Ruby, and downloads what the checksums are of",
      "ruby",
      !await isInstalled("ruby"),
    ),
    fn: async () => {
      const file = `${first}/cicd-toolkit.rb`;
      const syntax = await run(["ruby", "-wc", file]);
      assert.deepEqual(syntax, { code: 0, stdout: "Syntax OK\n", stderr: "" });
      const done = await run(["ruby", `${ROOT}/tests/support/formula_stand_in.rb`, file]);
      assert.equal(done.code, 0, done.stderr);
      const said = v.parse(formula, JSON.parse(done.stdout));
      const sums = parseChecksums(await read("checksums.txt"));
      const url = `${BASE_URL.replace("{version}", VERSION)}/${ARCHIVE}`;
      assert.deepEqual(said.downloads.map(({ url, sha256 }) => [url, sha256]), [
        [url, sums.get(ARCHIVE)],
      ]);
      // As `brew audit` demands.
      assert.match(said.desc, /^(?!A |An |The |Cicd)[A-Z].{10,78}[^.]$/);
      const { stdout: listed } = await run(["tar", "-tzf", `${first}/${ARCHIVE}`]);
      const names = new Set(listed.split("\n").map((name) => name.replace(/^\.\//, "")));
      for (const [what, , ...paths] of said.done) {
        if (what === "install") {
          for (const name of paths) assert.ok(names.has(name) || names.has(`${name}/`), name);
        }
        if (what === "install_symlink") {
          for (const path of paths) assert.ok(names.has(path.replace(/^\/libexec\//, "")), path);
        }
      }
      assert.deepEqual(said.service.run, ["/opt_bin/cicd-runner", "daemon"]);
      assert.equal(said.caveats.length, 2);
      for (const text of said.caveats) assert.match(text, /systemd/);
    },
  });

  const scratch = `${directory}/scratch`;
  await Deno.mkdir(scratch);
  await using server = await serveRelease(second, scratch);
  const install = (...args: readonly string[]) =>
    run(["sh", `${second}/install.sh`, "--base-url", server.url, "--no-enable", ...args], {
      cwd: scratch,
      env: { ...server.env, HOME: `${scratch}/home`, XDG_RUNTIME_DIR: "", TMPDIR: scratch },
    });
  const isUntouched = () =>
    assert.throws(() => Deno.statSync(`${scratch}/home`), Deno.errors.NotFound);

  await t.step("install.sh refuses an archive that is not the one released", async () => {
    using file = await Deno.open(`${second}/${ARCHIVE}`, { write: true });
    const { size } = await file.stat();
    await file.truncate(size - 1);
    const done = await install();
    assert.equal(done.code, 1);
    assert.match(done.stderr, /the checksum of .* nothing was installed\n$/);
    isUntouched();
  });
});

Deno.test("the workflow tries a release on each of its platforms before it publishes it", async () => {
  const { jobs } = parse(await Deno.readTextFile(`${ROOT}/.github/workflows/release.yml`));
  assert.deepEqual(jobs.publish.needs, ["build", "try"]);
  const { machine } = jobs.try.strategy.matrix;
  assert.equal(machine.length, RELEASE_TARGETS.length);
  for (const { run: script = "" } of jobs.try.steps) {
    const done = await run(["sh", "-n", "-c", script]);
    assert.equal(done.code, 0, done.stderr);
  }
});

Deno.test("a release replaces nothing but a release", async () => {
  const directory = await Deno.makeTempDir({ prefix: "release-" });
  try {
    await Deno.writeTextFile(`${directory}/precious`, "");
    const tool = [Deno.execPath(), "run", "--allow-all", "--quiet", `${ROOT}/tools/release.ts`];
    const done = await run([...tool, "--offline", `--out=${directory}`], {
      env: { SOURCE_DATE_EPOCH: "1700000000" },
    });
    assert.equal(done.code, 1);
    assert.match(done.stderr, /it contains something other than a release/);
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["precious"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a release that has an address is not made in nobody's name", async () => {
  const directory = await Deno.makeTempDir({ prefix: "release-" });
  try {
    const tool = [Deno.execPath(), "run", "--allow-all", "--quiet", `${ROOT}/tools/release.ts`];
    const done = await run([...tool, `--base-url=${BASE_URL}`, `--out=${directory}`], {
      env: { SOURCE_DATE_EPOCH: "1700000000", CICD_TOOLKIT_MAINTAINER: "" },
    });
    assert.equal(done.code, 64);
    assert.match(done.stderr, /Cannot publish packages without a maintainer; state it with --main/);
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
