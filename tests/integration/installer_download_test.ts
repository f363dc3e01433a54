import assert from "node:assert/strict";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import { makeCertificate } from "../support/certificate.ts";
import { mountSmallDisk } from "../support/small_disk.ts";
import { openStage, type UpgradeStage } from "../support/upgrade_stage.ts";
import { archiveName } from "../../tools/build/layout.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const ARCHIVE = archiveName(Deno.build.target);
const TOOLS =
  "sh id dirname mktemp rm mkdir ls awk sed cp cat find sort sha256sum cut readlink ln mv chmod " +
  "uname head cmp ps env grep tar gzip flock timeout";

/** A row of the table: something to install, and what comes of it. */
interface Scenario {
  /** `undefined`: nothing is installed before. @default {"1.0.0"} */
  readonly installed?: string | undefined;
  /** Which installer is run: that of the release, or that of a checkout. @default {"release"} */
  readonly installer?: "release" | "checkout";
  readonly args?: readonly string[];
  /** Programs that are not in PATH. */
  readonly without?: readonly string[];
  /** Programs in the place of those of the machine. */
  readonly standIns?: Readonly<Record<string, string>>;
  /** Changes what is published; may say where to install to instead. */
  readonly prepare?: (t: UpgradeStage) => Promise<unknown>;
  /** Bytes of the archive after which the server ends the connection. */
  readonly cutAfter?: number;
  /** The version in use in the end. */
  readonly ends: string | undefined;
  /** The version before it. */
  readonly previous?: string;
  /** The last words of an installation that failed. */
  readonly why?: RegExp;
}

const PINNED = ["--version", "1.1.0"];

/** The table. 1.1.0 is published. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "the latest release, anew": { installed: undefined, ends: "1.1.0" },
  "the latest release, as an upgrade": { ends: "1.1.0", previous: "1.0.0" },
  "a pinned release, anew": {
    installed: undefined,
    installer: "checkout",
    args: PINNED,
    ends: "1.1.0",
  },
  "a pinned release, by its tag": {
    installer: "checkout",
    args: ["--version", "v1.1.0"],
    ends: "1.1.0",
    previous: "1.0.0",
  },
  "a downgrade": { installed: "2.0.0", ends: "1.1.0", previous: "2.0.0" },
  "the same release again": {
    prepare: (t) => t.publish({ version: "1.0.0" }),
    ends: "1.0.0",
    previous: "1.0.0",
  },
  "with wget, without curl": { without: ["curl"], ends: "1.1.0", previous: "1.0.0" },
  "with neither": {
    without: ["curl", "wget"],
    ends: "1.0.0",
    why: /cannot download \S+: install curl or wget$/,
  },
  "a wrong checksum": {
    prepare: (t) => Deno.writeTextFile(`${t.published}/${ARCHIVE}`, "x", { append: true }),
    ends: "1.0.0",
    why: /the checksum of \S+ is [0-9a-f]{64}, not [0-9a-f]{64}: nothing was installed$/,
  },
  "no checksum": {
    prepare: (t) => Deno.writeTextFile(`${t.published}/checksums.txt`, ""),
    ends: "1.0.0",
    why: /checksums\.txt has no checksum for \S+: nothing was installed$/,
  },
  "no checksums": {
    prepare: (t) => Deno.remove(`${t.published}/checksums.txt`),
    ends: "1.0.0",
    why: /cannot download \S+\/checksums\.txt$/,
  },
  "an archive that is none": {
    prepare: async (t) => {
      await Deno.writeTextFile(`${t.published}/${ARCHIVE}`, "not a tar");
      await t.sum();
    },
    ends: "1.0.0",
    why: /cannot unpack \S+$/,
  },
  "another version than was asked for": {
    installer: "checkout",
    args: ["--version", "1.2.0"],
    ends: "1.0.0",
    why: /holds version 1\.1\.0, not 1\.2\.0$/,
  },
  "a download that is cut": { cutAfter: 100, ends: "1.0.0", why: /cannot download \S+\.tar\.gz$/ },
  "a download that is cut, with wget": {
    without: ["curl"],
    cutAfter: 100,
    ends: "1.0.0",
    why: /cannot download \S+\.tar\.gz$/,
  },
  "an unknown machine": {
    standIns: { uname: "[ $1 = -s ] && echo Plan9 || echo mips" },
    ends: "1.0.0",
    why: /there is no release for Plan9 on mips$/,
  },
  "a machine without a release": {
    standIns: { uname: "[ $1 = -s ] && echo Darwin || echo arm64" },
    ends: "1.0.0",
    why: /cannot download \S+\/cicd-toolkit-darwin-arm64\.tar\.gz$/,
  },
  "a release for another machine": {
    prepare: (t) => t.publish({ version: "1.1.0", target: "riscv64-unknown-linux-gnu" }),
    ends: "1.0.0",
    why: /the release is for riscv64-unknown-linux-gnu, this machine is \S+: nothing was changed$/,
  },
  "a release that does not run, which leaves the one before": {
    prepare: (t) => t.publish({ version: "1.1.0", isBroken: true }),
    ends: "1.0.0",
    why: /the new cicd-runner does not run on this machine: nothing was changed$/,
  },
  "an address that is not verified": {
    args: ["--base-url", "http://127.0.0.1:1"],
    ends: "1.0.0",
    why: /only https:\/\/ and file:\/\/ are supported$/,
  },
};

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  Deno.test(`install.sh from loopback: ${name}`, async () => {
    await using t = await openStage({ version: scenario.installed ?? "1.0.0" });
    if (scenario.installed === undefined && "installed" in scenario) {
      await Deno.remove(t.prefix, { recursive: true });
    }
    await t.publish({ version: "1.1.0" });
    await scenario.prepare?.(t);
    await using server = await serve(t, scenario.cutAfter);
    await assertScenario(t, scenario, server);
  });
}

Deno.test("install.sh from loopback: a target that is read-only, and one that is full", async () => {
  await using disk = await mountSmallDisk("256k");
  if (disk === undefined) return;
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  await using server = await serve(t);
  await run(["cp", "-a", t.prefix, `${disk.path}/prefix`]);
  await Deno.rename(t.prefix, `${t.prefix}.moved`);
  await Deno.symlink(`${disk.path}/prefix`, t.prefix);
  await run(["mount", "-o", "remount,ro", disk.path]);
  await assertScenario(t, { ends: "1.0.0", why: /: / }, server);
  await run(["mount", "-o", "remount,rw", disk.path]);
  await run(["sh", "-c", 'dd if=/dev/zero of="$1" bs=1k 2>/dev/null || :', "sh", `${disk.path}/f`]);
  await assertScenario(t, { ends: "1.0.0", why: /No space left|cannot copy to/ }, server);
  await Deno.remove(`${disk.path}/f`);
  await assertScenario(t, { ends: "1.1.0", previous: "1.0.0" }, server);
});

Deno.test("install.sh from loopback: back to the release before, which was kept", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  await using server = await serve(t);
  await assertScenario(t, { ends: "1.1.0", previous: "1.0.0" }, server);
  const kept = await Deno.realPath(`${t.home}/previous`);
  await Deno.copyFile(`${ROOT}/install.sh`, `${t.directory}/install.sh`);
  await run(["cp", "-R", `${kept}/bin`, `${kept}/lib`, t.directory]);
  const done = await install(t, `${t.directory}/install.sh`, [], server);
  assert.equal(done.code, 0, done.stderr);
  assert.deepEqual([await t.current(), await t.current("previous")], ["1.0.0", "1.1.0"]);
});

Deno.test("install.sh puts a whole copy in the place of a damaged release that is in use", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  await using server = await serve(t);
  await assertScenario(t, { ends: "1.1.0", previous: "1.0.0" }, server);
  const damaged = await Deno.realPath(`${t.home}/current`);
  await Deno.writeTextFile(`${damaged}/lib/cicd-toolkit/scar`, "");
  await assertScenario(t, { ends: "1.1.0", previous: "1.1.0" }, server);
  assert.equal(await Deno.realPath(`${t.home}/current`), `${damaged}.2`);
  // A whole one is left as it is.
  const { ino } = await Deno.stat(`${damaged}.2`);
  await assertScenario(t, { ends: "1.1.0", previous: "1.1.0" }, server);
  assert.equal((await Deno.stat(await Deno.realPath(`${t.home}/current`))).ino, ino);
});

Deno.test("install.sh changes nothing while an upgrade is at work", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  await using server = await serve(t);
  {
    using _upgrade = lockDirectory({ directory: t.home, program: "upgrade", remedy: "wait" });
    const why = /another installation or upgrade is at work in .*: wait for its end$/;
    await assertScenario(t, { ends: "1.0.0", why }, server);
  }
  await assertScenario(t, { ends: "1.1.0", previous: "1.0.0" }, server);
  const { mode } = await Deno.stat(`${t.home}/upgrade.lock`);
  assert.equal((mode ?? 0) & 0o777, 0o600);
});

Deno.test("install.sh keeps where a release came from, for the next upgrade", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  await using server = await serve(t);
  await assertScenario(t, { ends: "1.1.0", previous: "1.0.0" }, server);
  assert.equal(await Deno.readTextFile(`${t.home}/origin`), `url=${server.url}\n`);
});

interface Server extends AsyncDisposable {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
}

async function assertScenario(t: UpgradeStage, scenario: Scenario, server: Server): Promise<void> {
  const { installer = "release", args = [], ends, previous, why } = scenario;
  const path = installer === "release" ? `${t.published}/install.sh` : `${ROOT}/install.sh`;
  const done = await install(t, path, args, server, scenario);
  const isWell = why === undefined;
  assert.equal(done.code, isWell ? 0 : 1, done.stderr);
  if (!isWell) assert.match(done.stderr.trim(), why);
  assert.equal(await t.current(), ends);
  if (isWell) assert.equal(await t.current("previous"), previous);
  assert.deepEqual(await t.left(), []);
  const scratch = [...Deno.readDirSync(t.directory)].filter(({ name }) => name.includes("cicd-"));
  assert.deepEqual(scratch, []);
}

/** Runs an installer with a PATH of its own. */
async function install(
  t: UpgradeStage,
  path: string,
  args: readonly string[],
  server: Server,
  { without = [], standIns = {} }: Scenario = { ends: undefined },
) {
  const bin = await Deno.makeTempDir({ prefix: "bin-" });
  try {
    for (const tool of [...TOOLS.split(" "), "curl", "wget"]) {
      if (without.includes(tool)) continue;
      const { stdout } = await run(["sh", "-c", 'command -v "$1"', "sh", tool]);
      await Deno.symlink(stdout.trim(), `${bin}/${tool}`);
    }
    for (const [name, text] of Object.entries(standIns)) {
      await Deno.remove(`${bin}/${name}`);
      await Deno.writeTextFile(`${bin}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
    const options = ["--prefix", t.prefix, "--no-enable", "--no-linger"];
    const base = args.includes("--base-url") ? [] : ["--base-url", server.url];
    return await run(["sh", path, ...options, ...base, ...args], {
      PATH: bin,
      HOME: t.directory,
      TMPDIR: t.directory,
      XDG_RUNTIME_DIR: `${t.directory}/run`,
      ...server.env,
    });
  } finally {
    await Deno.remove(bin, { recursive: true });
  }
}

/** Serves what is published. @param cutAfter Bytes of an archive that are sent at most. */
async function serve(t: UpgradeStage, cutAfter?: number): Promise<Server> {
  const scratch = await Deno.makeTempDir({ prefix: "certificate-" });
  const { certificate, key } = await makeCertificate(scratch, "release");
  await Deno.writeTextFile(`${scratch}/wgetrc`, `ca_certificate=${scratch}/release.crt\n`);
  const options = { hostname: "127.0.0.1", port: 0, cert: certificate, key, onListen: () => {} };
  const server = Deno.serve(options, async (request) => {
    const { pathname } = new URL(request.url);
    const bytes = await Deno.readFile(`${t.published}${pathname}`).catch(() => undefined);
    if (bytes === undefined) return new Response(null, { status: 404 });
    if (cutAfter === undefined || !pathname.endsWith(".gz")) return new Response(bytes);
    const body = new Blob([bytes.subarray(0, cutAfter)]).stream();
    return new Response(body, { headers: { "content-length": String(bytes.length) } });
  });
  return {
    url: `https://127.0.0.1:${server.addr.port}`,
    env: { CURL_CA_BUNDLE: `${scratch}/release.crt`, WGETRC: `${scratch}/wgetrc` },
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await Deno.remove(scratch, { recursive: true });
    },
  };
}

async function run(argv: readonly string[], env?: Readonly<Record<string, string>>) {
  const [program = "", ...args] = argv;
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    stdin: "null",
    signal: AbortSignal.timeout(60_000),
    ...(env === undefined ? {} : { clearEnv: true, env }),
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
