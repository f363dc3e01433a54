import assert from "node:assert/strict";
import { makeDeb } from "../../tools/release/deb.ts";
import { bootMachine } from "../support/machine.ts";
import { releaseUnderTest } from "../support/release.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const user = "dev";

Deno.test("the Debian package installs, upgrades and goes while jobs run", async (t) => {
  await using stack = new AsyncDisposableStack();
  const signal = AbortSignal.timeout(300_000);
  const releaseDir = await releaseUnderTest(stack, signal);
  const outDir = await Deno.makeTempDir({ prefix: "cicd-deb-" });
  stack.defer(() => Deno.remove(outDir, { recursive: true }));
  await Deno.chmod(outDir, 0o755);
  const make = async (version: string) => {
    const maintainer = "A Person <person@example.org>";
    const times = { date: "2026-01-02T03:04:05Z", epoch: "1767323045" };
    const facts = { version, maintainer, ...times, sbom: "{}\n" };
    const stage = `${outDir}/stage`;
    const target = Deno.build.target;
    const place = { root: ROOT, releaseDir, stage, outDir, target, signal };
    const name = await makeDeb({ ...place, ...facts });
    await Deno.remove(stage, { recursive: true });
    return `/packages/${name}`;
  };
  const [first, second] = [await make("9.9.8"), await make("9.9.9")];
  const binds = [{ host: outDir, machine: "/packages" }];
  await using machine = await bootMachine({ binds, signal });
  const systemctl = (...args: readonly string[]) =>
    machine.exec(["systemctl", "--user", ...args], { user }).then(({ stdout }) => stdout.trim());
  const dpkg = (...args: readonly string[]) =>
    machine.run(["dpkg", ...args], { timeoutMs: 120_000 });
  const cicd = (...args: readonly string[]) =>
    machine.run(["cicd-runner", ...args], { user, timeoutMs: 60_000 });
  const pid = (unit: string) => systemctl("show", "--property=MainPID", "--value", unit);
  /** Submits jobs that count until there is a file; returns their ids once the first ones run. */
  const submit = async (count: number, gate: string) => {
    const script = `i=0; until [ -e ~/${gate} ]; do i=$((i + 1)); echo $i; sleep 0.2; done; exit 3`;
    const one = `cicd-runner submit -p web -- sh -c '${script}'`;
    const loop = `for i in $(seq ${count}); do ${one}; done`;
    const said = await machine.run(["sh", "-c", loop], { user, timeoutMs: 60_000 });
    const ids = said.trim().split("\n");
    assert.equal(ids.length, count);
    await machine.waitFor("a running job", async () => (await running()).length > 0, {
      timeoutMs: 60_000,
    });
    return ids;
  };
  /** The units of jobs that run, with the process of each. */
  const running = async () => {
    const listed = await systemctl("list-units", "--plain", "--no-legend", "cicd-job-*.service");
    const names = listed.split("\n").filter((line) => line.includes(" running "))
      .map((line) => line.replace(/ .*/, ""));
    return await Promise.all(names.map(async (name) => `${name} ${await pid(name)}`));
  };
  /** Lets the jobs end; each has its exit code, and each line once. */
  const isWhole = async (ids: readonly string[]) => {
    for (const id of ids) {
      const wait = ["cicd-runner", "wait", id];
      assert.equal((await machine.exec(wait, { user, timeoutMs: 60_000 })).code, 3, id);
      const lines = (await cicd("logs", id)).trim().split("\n").filter((line) => line !== "");
      assert.deepEqual(lines, lines.map((_, at) => String(at + 1)), id);
    }
  };

  await t.step("installed, it enables nothing", async () => {
    await dpkg("--install", first);
    assert.equal(await systemctl("is-enabled", "cicd-runner.socket"), "disabled");
    assert.equal(await systemctl("is-active", "cicd-runner.socket"), "inactive");
    assert.equal(await machine.run(["dpkg", "--verify", "cicd-toolkit"]), "");
    for (const page of ["cicd-runner", "cicd-agent"]) {
      await machine.run(["test", "-s", `/usr/share/man/man1/${page}.1.gz`]);
    }
  });

  await t.step(
    "a user enables it by its preset, and systemd has nothing to warn about",
    async () => {
      const names = ["cicd-runner.socket", "cicd-runner.service", "cicd-clean.timer"];
      await systemctl("preset", ...names);
      for (const name of names) assert.equal(await systemctl("is-enabled", name), "enabled");
      const { code, stderr } = await machine.exec(
        ["systemd-analyze", "--user", "verify", ...names, "cicd-agent@web.service"],
        { user },
      );
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      await systemctl("start", "cicd-runner.socket");
    },
  );

  await t.step("an upgrade restarts the programs, and no job", async () => {
    const ids = await submit(20, "one");
    const units = ["cicd-runner.service", "cicd-agent@web.service"];
    const [before, jobs] = [await Promise.all(units.map(pid)), await running()];
    await dpkg("--install", second);
    const [after, still] = [await Promise.all(units.map(pid)), await running()];
    after.forEach((now, at) => assert.notEqual(now, before[at], units[at]));
    for (const job of jobs) assert.ok(still.includes(job), job);
    assert.equal(await systemctl("is-enabled", "cicd-runner.socket"), "enabled");
    await machine.run(["touch", "/home/dev/one"], { user });
    await isWhole(ids);
  });

  await t.step("removed, it stops the programs and leaves jobs and state", async () => {
    const ids = await submit(3, "two");
    const jobs = await running();
    await dpkg("--remove", "cicd-toolkit");
    for (const name of ["cicd-runner.socket", "cicd-runner.service", "cicd-agent@web.service"]) {
      assert.notEqual(await systemctl("is-active", name), "active", name);
    }
    assert.deepEqual(await running(), jobs);
    const left = ["find", "/usr/lib/cicd-toolkit", "/usr/lib/systemd/user", "-name", "*cicd*"];
    assert.equal((await machine.exec(left)).stdout, "");
    await machine.run(["test", "-f", "/home/dev/.local/state/cicd-toolkit/runner.db"], { user });
    // They end while there is nothing to take their results, and have them once there is again.
    await machine.run(["touch", "/home/dev/two"], { user });
    await machine.waitFor("no job", async () => (await running()).length === 0, {
      timeoutMs: 60_000,
    });
    await dpkg("--install", second);
    await systemctl("start", "cicd-runner.socket");
    await isWhole(ids);
  });
});
