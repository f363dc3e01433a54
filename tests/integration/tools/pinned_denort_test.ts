import assert from "node:assert/strict";
import { pinnedDenort, readPins } from "../../../tools/release/pinned_denort.ts";

const TARGET = "aarch64-unknown-linux-gnu";
const ZIP = `denort-${TARGET}.zip`;
const CONTENT = new TextEncoder().encode("a runtime");
const SHA256 = new Uint8Array(await crypto.subtle.digest("SHA-256", CONTENT)).toHex();

/** A directory of Deno without downloads, and a network that has the runtime. */
async function setup() {
  const denoDir = await Deno.makeTempDir({ prefix: "denort-" });
  const asked: string[] = [];
  return {
    denoDir,
    asked,
    cached: `${denoDir}/dl/release/v9.9.9/${ZIP}`,
    find: (
      pins: ReadonlyMap<string, string>,
      { env = {}, offline = false, content = CONTENT }: {
        readonly env?: Readonly<Record<string, string>>;
        readonly offline?: boolean;
        readonly content?: Uint8Array;
      } = {},
    ) => {
      const ports = {
        env: (name: string) => name === "DENO_DIR" ? denoDir : env[name],
        exists: (path: string) => Deno.stat(path).then(() => true, () => false),
        host: TARGET,
        reachable: () => Promise.resolve(!offline),
      };
      return pinnedDenort({
        version: "9.9.9",
        target: TARGET,
        pins,
        denoDir,
        ports,
        fetch: (url) => {
          asked.push(url);
          return Promise.resolve(content);
        },
      });
    },
    [Symbol.asyncDispose]: () => Deno.remove(denoDir, { recursive: true }),
  };
}

Deno.test("a recorded runtime is downloaded once, to where Deno looks for it", async () => {
  await using t = await setup();
  const expected = { kind: "pinned", name: ZIP, sha256: SHA256 };
  assert.deepEqual(await t.find(new Map([[ZIP, SHA256]])), expected);
  assert.deepEqual(await Deno.readFile(t.cached), CONTENT);
  assert.deepEqual(await t.find(new Map([[ZIP, SHA256]])), expected);
  assert.deepEqual(t.asked, [`https://dl.deno.land/release/v9.9.9/${ZIP}`]);
});

Deno.test("a runtime that is not the recorded one is refused, downloaded or at hand", async () => {
  await using t = await setup();
  const pins = new Map([[ZIP, SHA256]]);
  const content = new TextEncoder().encode("another");
  await assert.rejects(t.find(pins, { content }), /its SHA-256 is [0-9a-f]{64}, and /);
  await assert.rejects(Deno.stat(t.cached), Deno.errors.NotFound);
  await t.find(pins);
  await Deno.writeTextFile(t.cached, "another");
  await assert.rejects(t.find(pins), /its SHA-256 is /);
});

Deno.test("a runtime that nobody recorded is neither used nor downloaded", async () => {
  await using t = await setup();
  const reason = `tools/release/denort-9.9.9.sha256 has no line for ${ZIP}`;
  assert.deepEqual(await t.find(new Map()), { kind: "absent", reason });
  assert.deepEqual(t.asked, []);
  const given = `${t.denoDir}/denort`;
  await Deno.writeFile(given, CONTENT);
  const env = { DENORT_BIN: given };
  const found = await t.find(new Map([[ZIP, SHA256]]), { env });
  assert.equal(found.kind, "absent");
  assert.deepEqual(await t.find(new Map([[`denort-${TARGET}`, SHA256]]), { env }), {
    kind: "pinned",
    name: `denort-${TARGET}`,
    sha256: SHA256,
  });
});

Deno.test("offline, a runtime that is not at hand is absent", async () => {
  await using t = await setup();
  assert.equal((await t.find(new Map([[ZIP, SHA256]]), { offline: true })).kind, "absent");
});

Deno.test("readPins() reads what sha256sum wrote, and a version without a file has none", async () => {
  const root = await Deno.makeTempDir({ prefix: "pins-" });
  try {
    assert.deepEqual(await readPins(root, "9.9.9"), new Map());
    await Deno.mkdir(`${root}/tools/release`, { recursive: true });
    await Deno.writeTextFile(`${root}/tools/release/denort-9.9.9.sha256`, `${SHA256}  ${ZIP}\n`);
    assert.deepEqual(await readPins(root, "9.9.9"), new Map([[ZIP, SHA256]]));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
