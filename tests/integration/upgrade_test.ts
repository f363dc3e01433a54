import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { openDatabase } from "@lib/foundations/store/database.ts";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import { check, recoverInstallation, upgrade } from "@lib/features/install/upgrade/upgrade.ts";
import { requireOwn } from "@lib/features/install/upgrade/installed.ts";
import { parseSigningKey, sign } from "../../tools/release/minisign.ts";
import { archiveName } from "../../tools/build/layout.ts";
import { mountSmallDisk } from "../support/small_disk.ts";
import { openStage, type UpgradeStage } from "../support/upgrade_stage.ts";

const ARCHIVE = archiveName(Deno.build.target);

Deno.test("upgrade() puts a healthy release in use and keeps the one before", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  const ports = t.ports();
  assert.deepEqual(await upgrade(t.input(), ports), {
    kind: "upgraded",
    from: "1.0.0",
    to: "1.1.0",
    jobs: 0,
  });
  assert.deepEqual(
    [await t.running(), await t.current(), await t.current("previous")],
    ["1.1.0", "1.1.0", "1.0.0"],
  );
  assert.deepEqual(await t.left(), []);
  assert.deepEqual(await upgrade(t.input(), ports), {
    kind: "current",
    version: "1.1.0",
    available: "1.1.0",
  });
  await t.publish({ version: "1.2.0" });
  await upgrade(t.input(), ports);
  // Only the one in use and the one before stay.
  const releases = [...Deno.readDirSync(`${t.home}/releases`)].map(({ name }) => name.slice(0, 6));
  assert.deepEqual(releases.sort(), ["1.1.0-", "1.2.0-"]);
});

Deno.test("upgrade() goes back from a release that is no good, and says why", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0", answers: "0.9.0" });
  assert.deepEqual(await upgrade(t.input(), t.ports()), {
    kind: "rolled_back",
    from: "1.0.0",
    to: "1.1.0",
    reason: "the runner answers as version 0.9.0, not 1.1.0",
    journal: ["a line of the journal"],
    problem: undefined,
  });
  assert.deepEqual([await t.running(), await t.current()], ["1.0.0", "1.0.0"]);
  assert.deepEqual(await t.left(), []);
});

Deno.test("upgrade() goes back from a release whose units cannot be installed", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0", failsToInstall: true });
  const end = await upgrade(t.input(), t.ports());
  assert.equal(end.kind, "rolled_back");
  assert.equal(end.kind === "rolled_back" && end.problem, undefined);
  assert.deepEqual([await t.running(), await t.current()], ["1.0.0", "1.0.0"]);
  assert.deepEqual(await t.left(), []);
});

/** Upgrades a new stage with a process that is killed at a step; `false` if it ended before. */
async function killAt(step: number): Promise<boolean> {
  const script = new URL("../support/upgrade_process.ts", import.meta.url).pathname;
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  const args = ["run", "--quiet", "--no-check", "-A", script, t.directory, String(step)];
  const ended = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
  const isKilled = ended.signal === "SIGKILL";
  assert.ok(isKilled || ended.success, `step ${step}`);
  const current = await t.current();
  assert.match(current ?? "", /^1\.[01]\.0$/, `step ${step}`);
  // What the timer does, or what the next person does.
  const isTimer = step % 2 === 0;
  if (isTimer) await recoverInstallation(t.input().installation, t.ports());
  else await upgrade(t.input(), t.ports());
  const expected = isTimer ? current : "1.1.0";
  assert.deepEqual([await t.running(), await t.current()], [expected, expected], `step ${step}`);
  assert.deepEqual(await t.left(), [], `step ${step}`);
  return isKilled;
}

Deno.test("upgrade() killed at any step leaves a working release, and the next call goes on", async () => {
  const atOnce = 4;
  for (let first = 1;; first += atOnce) {
    const steps = Array.from({ length: atOnce }, (_, index) => first + index);
    if ((await Promise.all(steps.map(killAt))).includes(false)) break;
  }
});

Deno.test("upgrade() refuses a second one at the same time", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  using _lock = lockDirectory({ directory: t.home, program: "upgrade", remedy: "" });
  await assertRefused(t, "store_locked", /another upgrade \(pid \d+\) owns it; wait for its end/);
});

Deno.test("upgrade() never goes below the schema of the database, and says which release can", async () => {
  const table = (n: number) => `CREATE TABLE t${n} (id TEXT) STRICT;\n`;
  const schemas = (version: number) => ({ notes: version });
  await using t = await openStage({ version: "2.0.0", schemas: schemas(2) });
  const path = `${t.directory}/state/runner.db`;
  openDatabase({ path, schemas: [{ name: "notes", migrations: [table(1), table(2)] }] })
    [Symbol.dispose]();
  await t.publish({ version: "1.9.0", schemas: schemas(1) });
  const to = "1.9.0";
  await assertRefused(
    t,
    "store_newer",
    /Cannot go to 1\.9\.0: the database "notes" has version 2, and it knows 1; 2\.0\.0 can use it/,
    { to },
  );
  await t.publish({ version: "1.9.0" });
  await assertRefused(t, "store_newer", /does not say which databases it can use; 2\.0\.0 can/, {
    to,
  });
  // One that can is put in use, though it is older.
  await t.publish({ version: "1.9.0", schemas: schemas(2) });
  const outcome = await upgrade(t.input({ to }), t.ports());
  assert.equal(outcome.kind, "upgraded");
  assert.equal(await t.current(), "1.9.0");
});

/** Everything that is wrong with what is published, and what is said of it. */
const WRONG: Readonly<
  Record<string, {
    readonly spoil: (t: UpgradeStage) => Promise<unknown>;
    readonly to?: string;
    readonly why: RegExp;
  }>
> = {
  "no release": {
    spoil: (t) => Deno.remove(`${t.published}/checksums.txt`),
    why: /Cannot find a release at ".*": it has no checksums\.txt/,
  },
  "checksums that are none": {
    spoil: (t) => Deno.writeTextFile(`${t.published}/checksums.txt`, "<html>\n"),
    why: /Cannot use ".*checksums\.txt": .* not a line of sha256sum/,
  },
  "another archive": {
    spoil: (t) => Deno.writeTextFile(`${t.published}/${ARCHIVE}`, "x", { append: true }),
    why: /its checksum is [0-9a-f]{64}, not [0-9a-f]{64}/,
  },
  "another installer": {
    spoil: (t) => Deno.writeTextFile(`${t.published}/install.sh`, "x", { append: true }),
    why: /its install\.sh is not the one of its checksums/,
  },
  "no archive for this machine": {
    spoil: async (t) => {
      await Deno.remove(`${t.published}/${ARCHIVE}`);
      await t.sum();
    },
    why: /Cannot find release 1\.1\.0 for \S+: no cicd-toolkit-/,
  },
  "another version": {
    spoil: () => Promise.resolve(),
    to: "1.3.0",
    why: /Cannot use the release at ".*": it is 1\.1\.0/,
  },
  "an archive for another machine": {
    spoil: (t) => t.publish({ version: "1.1.0", target: "riscv64-unknown-linux-gnu" }),
    why: /it is for riscv64-unknown-linux-gnu, this machine is/,
  },
  "an archive that is none": {
    spoil: async (t) => {
      await Deno.writeTextFile(`${t.published}/${ARCHIVE}`, "not a tar");
      await t.sum();
    },
    why: /Cannot unpack the archive: /,
  },
};

for (const [name, { spoil, to, why }] of Object.entries(WRONG)) {
  Deno.test(`upgrade() changes nothing if there is ${name}`, async () => {
    await using t = await openStage();
    await t.publish({ version: "1.1.0" });
    await spoil(t);
    await assertRefused(t, undefined, why, { to });
  });
}

Deno.test("upgrade() with a key takes only what that has signed", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  const [key, other] = [await makeKey(), await makeKey()];
  const publicKey = key.public.text;
  const source = { ...t.input().source, publicKey };
  await assertRefused(t, "io_failed", /Cannot verify the signature of .*: it has none/, { source });
  const content = await Deno.readFile(`${t.published}/checksums.txt`);
  const put = async (by: typeof key) =>
    await Deno.writeTextFile(
      `${t.published}/checksums.txt.minisig`,
      await sign(content, { key: by, comment: "cicd-toolkit 1.1.0" }),
    );
  await put(other);
  await assertRefused(t, "io_failed", /it is not one of the release's key/, { source });
  await put(key);
  const ports = t.ports();
  assert.equal((await upgrade(t.input({ source }), ports)).kind, "upgraded");
  assert.deepEqual(ports.notes, []);
});

/** Servers that do not give what they announce, and what is said of it. */
const SERVERS: Readonly<
  Record<string, {
    readonly answer: (path: string, t: UpgradeStage) => Response | undefined;
    readonly why: RegExp;
  }>
> = {
  "cuts the download": {
    answer: (path) =>
      path.endsWith(".gz")
        ? new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new Uint8Array(10));
              // Announced are more.
              controller.close();
            },
          }),
          { headers: { "content-length": "1000" } },
        )
        : undefined,
    why: /Cannot download ".*\.tar\.gz": /,
  },
  "sends too much": {
    answer: (path) =>
      path.endsWith("checksums.txt") ? new Response("#".repeat(1024 * 1024 + 1)) : undefined,
    why: /it is larger than 1M/,
  },
  "fails": {
    answer: () => new Response("no\n", { status: 500 }),
    why: /Cannot download ".*": status 500/,
  },
  "leads to a place that is not verified": {
    answer: () => new Response(null, { status: 302, headers: { location: "http://192.0.2.1/" } }),
    why: /it leads to "http:\/\/192\.0\.2\.1\/"/,
  },
  "leads in circles": {
    answer: (path) => new Response(null, { status: 302, headers: { location: path } }),
    why: /it leads on and on/,
  },
};

for (const [name, { answer, why }] of Object.entries(SERVERS)) {
  Deno.test(`upgrade() changes nothing if the server ${name}`, async () => {
    await using t = await openStage();
    await t.publish({ version: "1.1.0" });
    await using server = serve(t, (path) => answer(path, t));
    await assertRefused(t, "io_failed", why, { source: { ...t.input().source, url: server.url } });
    await using good = serve(t, () => undefined);
    const source = { ...t.input().source, url: good.url };
    assert.equal((await upgrade(t.input({ source }), t.ports())).kind, "upgraded");
  });
}

Deno.test("upgrade() takes no address that cannot be verified", async () => {
  await using t = await openStage();
  for (const url of ["http://192.0.2.1/x", "ftp://x.example/", "nonsense"]) {
    const source = { ...t.input().source, url };
    await assertRefused(t, "usage", /use https:\/\/ or file:\/\/, or http:\/\/ on loopback/, {
      source,
    });
  }
});

Deno.test("upgrade() changes nothing on a full disk", async () => {
  await using disk = await mountSmallDisk("400k");
  if (disk === undefined) return;
  await using t = await openStage({ version: "1.0.0" }, await Deno.makeTempDir({ dir: disk.path }));
  await t.publish({ version: "1.1.0" });
  const elsewhere = await Deno.makeTempDir();
  try {
    await Deno.rename(t.published, `${elsewhere}/x`).catch(async () => {
      await new Deno.Command("cp", { args: ["-R", t.published, `${elsewhere}/x`] }).output();
    });
    const filler = `${disk.path}/filler`;
    await new Deno.Command("dd", {
      args: ["if=/dev/zero", `of=${filler}`, "bs=1k"],
      stderr: "null",
    }).output();
    const source = { ...t.input().source, url: `file://${elsewhere}/x` };
    await assertRefused(t, "disk_full", /the disk is full/, { source });
    await Deno.remove(filler);
    assert.equal((await upgrade(t.input({ source }), t.ports())).kind, "upgraded");
  } finally {
    await Deno.remove(elsewhere, { recursive: true });
  }
});

Deno.test("requireOwn() refuses what another account could change, or administers", async () => {
  await using t = await openStage();
  await Deno.mkdir(`${t.prefix}/bin`);
  const { installation } = t.input();
  await requireOwn(installation, Deno.uid() ?? 0);
  await assert.rejects(requireOwn(installation, 4_242), /it belongs to uid \d+; its administrator/);
  for (const place of [`${t.prefix}/bin`, `${t.home}/releases`, t.home, t.prefix]) {
    await Deno.chmod(place, 0o777);
    await assert.rejects(
      requireOwn(installation, Deno.uid() ?? 0),
      /every account can write to it/,
    );
    await Deno.chmod(place, 0o755);
  }
  await Deno.remove(`${t.home}/current`);
  await assert.rejects(requireOwn(installation, Deno.uid() ?? 0), /has installed nothing there/);
});

Deno.test("check() says what there is, and changes nothing", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  const { installed, published } = await check(t.input(), AbortSignal.timeout(10_000));
  assert.deepEqual([installed, published.version, published.isSigned], ["1.0.0", "1.1.0", false]);
  assert.deepEqual(await t.left(), []);
});

async function assertRefused(
  t: UpgradeStage,
  code: string | undefined,
  why: RegExp,
  options: Parameters<UpgradeStage["input"]>[0] = {},
): Promise<void> {
  const before = [await t.running(), await t.current()];
  await assert.rejects(upgrade(t.input(options), t.ports()), (error) => {
    assert.ok(error instanceof CicdError, String(error));
    assert.match(error.message, why);
    if (code !== undefined) assert.equal(error.code, code);
    return true;
  });
  assert.deepEqual([await t.running(), await t.current()], before);
  assert.deepEqual(await t.left(), []);
  const releases = [...Deno.readDirSync(`${t.home}/releases`)];
  assert.equal(releases.length, 1);
}

function serve(t: UpgradeStage, answer: (path: string) => Response | undefined) {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      const given = answer(pathname);
      if (given !== undefined) return given;
      const bytes = await Deno.readFile(`${t.published}${pathname}`).catch(() => undefined);
      return bytes === undefined ? new Response(null, { status: 404 }) : new Response(bytes);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function makeKey() {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("not a pair");
  const seed = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)).slice(16);
  const half = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const bytes = new Uint8Array(158);
  bytes.set(new TextEncoder().encode("Ed"));
  bytes.set(crypto.getRandomValues(new Uint8Array(8)), 54);
  bytes.set(seed, 62);
  bytes.set(half, 94);
  return await parseSigningKey(bytes.toBase64());
}
