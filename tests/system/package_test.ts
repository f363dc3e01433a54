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
  /** Submits a job that ends when there is a file; returns its id once it runs. */
  const submit = async (gate: string) => {
    const script = `until [ -e ~/${gate} ]; do sleep 0.2; done; echo after ${gate}`;
    const id = await cicd("submit", "-p", "web", "--", "sh", "-c", script);
    const unit = `cicd-job-${id}-1.service`;
    const runs = async () => await systemctl("is-active", unit) === "active";
    await machine.waitFor(unit, runs, { timeoutMs: 60_000 });
    return { id, runs };
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
    const { id, runs } = await submit("one");
    const units = ["cicd-runner.service", "cicd-agent@web.service"];
    const before = await Promise.all(units.map(pid));
    await dpkg("--install", second);
    assert.equal(await runs(), true);
    const after = await Promise.all(units.map(pid));
    after.forEach((now, at) => assert.notEqual(now, before[at], units[at]));
    assert.equal(await systemctl("is-enabled", "cicd-runner.socket"), "enabled");
    await machine.run(["touch", "/home/dev/one"], { user });
    await cicd("wait", id);
    assert.match(await cicd("logs", id), /^after one$/m);
  });

  await t.step("removed, it stops the programs and leaves jobs and state", async () => {
    const { runs } = await submit("two");
    await dpkg("--remove", "cicd-toolkit");
    for (const name of ["cicd-runner.socket", "cicd-runner.service", "cicd-agent@web.service"]) {
      assert.notEqual(await systemctl("is-active", name), "active", name);
    }
    assert.equal(await runs(), true);
    const left = ["find", "/usr/lib/cicd-toolkit", "/usr/lib/systemd/user", "-name", "*cicd*"];
    assert.equal((await machine.exec(left)).stdout, "");
    await machine.run(["test", "-f", "/home/dev/.local/state/cicd-toolkit/runner.db"], { user });
  });
});
