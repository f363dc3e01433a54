import assert from "node:assert/strict";
import { parseSigningKey, sign } from "../../../tools/release/minisign.ts";
import { platformName } from "../../../tools/build/layout.ts";
import { makeSigningKey } from "../../support/signing_key.ts";

const ROOT = new URL("../../..", import.meta.url).pathname.replace(/\/$/, "");
const FACTS = { version: "1.2.3", target: Deno.build.target };

async function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [program = "", ...args] = argv;
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    env,
    stdin: "null",
    signal: AbortSignal.timeout(60_000),
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** A signed release of scripts, and a directory with the programs of this machine without `hidden`. */
async function setup(hidden: readonly string[]) {
  const directory = await Deno.makeTempDir({ prefix: "signature-" });
  await Deno.chmod(directory, 0o755);
  const [path, tree, files, home] = ["path", "tree", "files", "home"].map((name) =>
    `${directory}/${name}`
  );
  assert.ok(path && tree && files && home);
  const lib = `${tree}/lib/cicd-toolkit`;
  for (const each of [path, files, home, `${tree}/bin`, `${lib}/units`]) {
    await Deno.mkdir(each, { recursive: true });
  }
  for (const place of ["/usr/bin", "/bin"]) {
    for (const { name } of Deno.readDirSync(place)) {
      if (hidden.includes(name)) continue;
      await Deno.symlink(`${place}/${name}`, `${path}/${name}`).catch((error: unknown) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      });
    }
  }
  const says = `#!/bin/sh\n[ "$1" != version ] || echo '${JSON.stringify(FACTS)}'\n`;
  for (const name of ["cicd-runner", "cicd-agent"]) {
    await Deno.writeTextFile(`${tree}/bin/${name}`, says, { mode: 0o755 });
  }
  await Deno.writeTextFile(`${lib}/build.json`, `${JSON.stringify(FACTS, null, 2)}\n`);
  await Deno.writeTextFile(`${lib}/units/cicd-runner.service`, "");
  const archive = `cicd-toolkit-${platformName(Deno.build.target)}.tar.gz`;
  await run(["tar", "-czf", `${files}/${archive}`, "-C", tree, "."]);
  const summed = await run(["sha256sum", `${files}/${archive}`]);
  const sums = summed.stdout.replace(`${files}/`, "");
  await Deno.writeTextFile(`${files}/checksums.txt`, sums);
  const publicKey = await makeSigningKey(`${directory}/key`);
  const key = await parseSigningKey(await Deno.readTextFile(`${directory}/key`));
  const signature = await sign(new TextEncoder().encode(sums), {
    key,
    comment: "cicd-toolkit 1.2.3",
  });
  await Deno.writeTextFile(`${files}/checksums.txt.minisig`, signature);
  return {
    directory,
    files,
    publicKey,
    signature,
    install: (by: string = publicKey) =>
      run(
        ["sh", `${ROOT}/install.sh`, "--version=1.2.3", `--base-url=file://${files}`]
          .concat(`--public-key=${by}`, "--no-enable"),
        { PATH: path, HOME: home, TMPDIR: directory, XDG_RUNTIME_DIR: "" },
      ),
    isInstalled: () => Deno.lstat(`${home}/.local/bin/cicd-runner`).then(() => true, () => false),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

type Setup = Awaited<ReturnType<typeof setup>>;

/** Replaces one character of a line, so that the base64 stays valid. */
function otherAt(text: string, line: number, column: number): string {
  const lines = text.split("\n");
  const old = lines[line] ?? "";
  lines[line] = old.slice(0, column) + (old[column] === "B" ? "C" : "B") + old.slice(column + 1);
  return lines.join("\n");
}

/** What may be wrong with a signature; each returns the key to verify with, if it is another. */
const WRONGS: Readonly<Record<string, (t: Setup) => Promise<string | void>>> = {
  "made by another key": ({ directory }) => makeSigningKey(`${directory}/other`),
  "made by another key of the same number": async ({ directory, publicKey }) => {
    const other = Uint8Array.fromBase64(await makeSigningKey(`${directory}/other`));
    other.set(Uint8Array.fromBase64(publicKey).subarray(0, 10));
    return other.toBase64();
  },
  "of other checksums": ({ files }) =>
    Deno.writeTextFile(`${files}/checksums.txt`, "\n", { append: true }),
  "with a byte changed": ({ files, signature }) =>
    Deno.writeTextFile(`${files}/checksums.txt.minisig`, otherAt(signature, 1, 40)),
  "with a comment changed": ({ files, signature }) =>
    Deno.writeTextFile(`${files}/checksums.txt.minisig`, signature.replace("1.2.3", "1.2.4")),
  "whose comment's signature is changed": ({ files, signature }) =>
    Deno.writeTextFile(`${files}/checksums.txt.minisig`, otherAt(signature, 3, 40)),
  "of another algorithm": ({ files, signature }) =>
    Deno.writeTextFile(`${files}/checksums.txt.minisig`, signature.replace("\nRU", "\nRW")),
  "cut in the middle": ({ files, signature }) =>
    Deno.writeTextFile(`${files}/checksums.txt.minisig`, signature.slice(0, 100)),
  "cut in its last line": ({ files, signature }) =>
    Deno.writeTextFile(`${files}/checksums.txt.minisig`, `${signature.slice(0, -20)}\n`),
  "empty": ({ files }) => Deno.writeTextFile(`${files}/checksums.txt.minisig`, ""),
  "missing": ({ files }) => Deno.remove(`${files}/checksums.txt.minisig`),
  "to be verified by what is no key": () => Promise.resolve("RWQ="),
};

const can = async (script: string) => (await run(["sh", "-c", script])).code === 0;
const TOOLS = [
  {
    name: "minisign",
    hidden: ["openssl"],
    ignore: !await can("command -v minisign"),
  },
  {
    name: "OpenSSL",
    hidden: ["minisign"],
    ignore: !await can("openssl pkeyutl -help 2>&1 | grep -q -e -rawin"),
  },
];

for (const { name, hidden, ignore } of TOOLS) {
  Deno.test({
    name: `install.sh installs what ${name} verifies, and says nothing of it`,
    ignore,
    fn: async () => {
      await using t = await setup(hidden);
      const done = await t.install();
      assert.equal(done.code, 0, done.stderr);
      assert.doesNotMatch(done.stderr, /signature/);
      assert.equal(await t.isInstalled(), true);
    },
  });

  Deno.test({
    name: `install.sh with ${name} installs nothing whose signature is wrong`,
    ignore,
    fn: async (t) => {
      for (const [what, makeWrong] of Object.entries(WRONGS)) {
        await t.step(what, async () => {
          await using t = await setup(hidden);
          const key = await makeWrong(t);
          const done = await t.install(key === undefined ? t.publicKey : key);
          assert.equal(done.code, 1, done.stderr);
          assert.match(done.stderr, /: nothing was installed\n$|cannot read file:/);
          assert.equal(await t.isInstalled(), false);
        });
      }
    },
  });
}

Deno.test({
  name: "install.sh verifies by OpenSSL what minisign signs in its older form",
  ignore: TOOLS.some(({ ignore }) => ignore),
  fn: async () => {
    await using t = await setup(["minisign"]);
    const [key, sums] = [`${t.directory}/key`, `${t.files}/checksums.txt`];
    const made = await run(["minisign", "-Sl", "-s", key, "-m", sums]);
    assert.equal(made.code, 0, made.stderr);
    assert.match(await Deno.readTextFile(`${sums}.minisig`), /^RWR|\nRW/m);
    const done = await t.install();
    assert.equal(done.code, 0, done.stderr);
    assert.doesNotMatch(done.stderr, /signature/);
  },
});

Deno.test("install.sh says that only the checksum was verified where nothing can do more", async () => {
  await using t = await setup(["minisign", "openssl"]);
  const done = await t.install();
  assert.equal(done.code, 0, done.stderr);
  const said =
    "warning: the signature was not verified, only the checksum: that needs minisign, or";
  assert.ok(done.stderr.includes(said), done.stderr);
  assert.equal(await t.isInstalled(), true);
});

Deno.test("install.sh takes an OpenSSL that lacks what it needs for none", async () => {
  await using t = await setup(["minisign", "openssl"]);
  // As LibreSSL, which knows no such option.
  const path = `${t.directory}/path/openssl`;
  await Deno.writeTextFile(path, "#!/bin/sh\necho usage: pkeyutl >&2\nexit 1\n", { mode: 0o755 });
  const done = await t.install();
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stderr, /the signature was not verified, only the checksum/);
});
