import assert from "node:assert/strict";
import { withDeadline } from "@lib/core/abort.ts";
import { systemClock } from "@lib/core/clock.ts";
import { openStandIn, whyNoStandIn } from "../support/darwin_stand_in.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const RUNNER = `${ROOT}cmd/runner/main.ts`;
const why = await whyNoStandIn();
if (why !== undefined) console.log(`SKIPPED the stand-in for macOS: ${why}`);
const ignore = why !== undefined;

Deno.test({
  name: "cicd-runner needs nothing of Linux for its version and its configuration",
  ignore,
  async fn() {
    await using mac = await openStandIn();
    const version = await mac.run(RUNNER, ["version", "--json"]);
    assert.equal(version.code, 0, version.stderr);
    assert.equal(JSON.parse(version.stdout).target, "aarch64-apple-darwin");
    const shown = await mac.run(RUNNER, ["config", "show"]);
    assert.equal(shown.code, 0, shown.stderr);
    const state = `${mac.directory}/home/.local/state/cicd-toolkit`;
    assert.ok(shown.stdout.includes(`state_dir: ${state} # default`), shown.stdout);
    assert.ok(shown.stdout.includes(`runtime_dir: ${state}/run # default`), shown.stdout);
    assert.match(shown.stdout, /^socket: \S+\.sock # default$/m);
  },
});

/** A daemon with its agents in a stand-in. */
async function setup() {
  const mac = await openStandIn();
  const { directory } = mac;
  const socket = `--socket=${directory}/r.sock`;
  const own = [`--state-dir=${directory}/state`, `--runtime-dir=${directory}/run`];
  const daemon = mac.spawn(RUNNER, ["daemon", socket, ...own, "--log-level=error"]);
  const said = daemon.output();
  const runner = (command: string, ...args: readonly string[]) =>
    mac.run(RUNNER, [command, socket, ...args]);
  await until(async () => (await runner("status")).code === 0);
  return {
    runner,
    /** Runs a script as a job; answers it when it has ended. */
    async job(script: string, ...flags: readonly string[]) {
      const file = `${directory}/job.sh`;
      await Deno.writeTextFile(file, script);
      const { code, stdout, stderr } = await runner(
        "run",
        "--project=web",
        `--script=${file}`,
        ...flags,
      );
      return { code, stdout, stderr };
    },
    async [Symbol.asyncDispose]() {
      daemon.kill("SIGTERM");
      // They hold its standard error.
      for (const pid of await agents(directory)) Deno.kill(pid, "SIGTERM");
      await said;
      await mac[Symbol.asyncDispose]();
    },
  };
}

async function agents(directory: string): Promise<readonly number[]> {
  const { stdout } = await new Deno.Command("pgrep", {
    args: ["-f", "--", `--listen=${directory}/`],
  })
    .output();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "").map(Number);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  using deadline = withDeadline(new AbortController().signal, 60_000, "the stand-in");
  while (!await isSo()) await systemClock.sleep(50, { signal: deadline });
}

Deno.test({
  name: "jobs run as processes without /proc, systemd and util-linux",
  ignore,
  async fn(t) {
    await using mac = await setup();
    await t.step("output and exit code arrive", async () => {
      const job = await mac.job("echo hello; echo oops >&2; exit 3\n");
      assert.equal(job.code, 3, job.stderr);
      assert.equal(job.stdout, "hello\noops\n");
    });
    await t.step("a death by signal is one", async () => {
      const job = await mac.job("kill -s KILL $$\n");
      assert.match(job.stderr, /killed by SIGKILL|SIGKILL/);
    });
    await t.step("what a job leaves behind ends with it", async () => {
      const job = await mac.job("sleep 600 &\necho $!\n", "--grace=1s");
      assert.equal(job.code, 0, job.stderr);
      assert.equal(await isAlive(Number(job.stdout)), false);
    });
    await t.step("the time limit ends a job that ignores SIGTERM, and its children", async () => {
      const script = "trap '' TERM\nsleep 600 &\necho $!\nwait\nwait\nsleep 600\n";
      const job = await mac.job(script, "--timeout=1s", "--grace=1s");
      assert.match(job.stderr, /timed out/);
      assert.equal(await isAlive(Number(job.stdout)), false);
    });
    await t.step("a cancel ends a job", async () => {
      const { stdout } = await mac.runner("submit", "--project=web", "--", "sleep", "600");
      const id = stdout.trim();
      await until(async () => {
        const { stdout } = await mac.runner("show", "--json", id);
        return JSON.parse(stdout).state === "running";
      });
      await mac.runner("cancel", id);
      const ended = await mac.runner("wait", id);
      assert.match(`${ended.stdout}${ended.stderr}`, /cancelled/);
    });
  },
});

async function isAlive(pid: number): Promise<boolean> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return /\) [^ZX]/.test(stat);
}

Deno.test("what the programs import is for macOS too", async () => {
  for (const program of ["runner", "agent"]) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", `${ROOT}cmd/${program}/main.ts`],
    }).output();
    const { modules, npmPackages } = JSON.parse(new TextDecoder().decode(stdout));
    const seen = new Set<string>();
    const visit = (id: string): void => {
      if (seen.has(id)) return;
      seen.add(id);
      for (const next of npmPackages[id].dependencies) visit(next);
    };
    for (const { npmPackage } of modules) if (npmPackage !== undefined) visit(npmPackage);
    assert.ok(seen.size > 20, `${program}: ${seen.size} packages`);
    for (const id of seen) {
      const path = `${npmPackages[id].localPath}/package.json`;
      const { os = [], cpu = [] } = JSON.parse(await Deno.readTextFile(path));
      const allowsMac = os.length === 0 || os.includes("darwin");
      assert.ok(
        allowsMac && cpu.length === 0,
        `${program} imports ${id}, which is for ${[...os, ...cpu]}`,
      );
    }
  }
});
