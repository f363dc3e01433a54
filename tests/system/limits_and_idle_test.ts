import assert from "node:assert/strict";
import { bootSuite } from "../support/suite_in_machine.ts";

// Whether the kernel enforces a limit depends on the host's controllers. Here it is only that the
// limits arrive where the kernel would read them.

const IDLE = "idle_exit: 1s\nagent_idle_exit: 1s\n";

Deno.test("both programs leave when idle, and come back with the next call", async () => {
  await using t = await bootSuite({ config: IDLE });
  const first = await t.submit({ project: "web", script: "exit 3" });
  assert.equal((await t.ended(first.id)).exit_code, 3);
  for (const unit of ["cicd-runner.service", "cicd-agent@web.service"]) {
    await t.machine.waitFor(
      `the end of ${unit}`,
      async () => await t.show(unit, "ActiveState") === "inactive",
    );
    assert.equal(await t.show(unit, "Result"), "success");
  }
  for (const unit of ["cicd-runner.socket", "cicd-agent@web.socket"]) {
    assert.equal(await t.show(unit, "ActiveState"), "active");
  }
  assert.equal((await t.job(first.id)).exit_code, 3);
  const second = await t.submit({ project: "web", script: "exit 4" });
  assert.equal((await t.ended(second.id)).exit_code, 4);
  assert.equal(await t.journal("warning"), "");
});

/** Prints the main processes of both programs: only the job itself sees them before its end. */
const PIDS =
  "XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user show --property MainPID --value " +
  "cicd-runner.service cicd-agent@web.service | xargs";

Deno.test("neither program leaves while a job runs, however quiet it is", async () => {
  await using t = await bootSuite({ config: IDLE });
  const { id } = await t.submit({ project: "web", script: `${PIDS}; sleep 4; ${PIDS}; exit 6` });
  const path = `/home/dev/.local/state/cicd-toolkit/projects/web/jobs/${id}/1/outcome.json`;
  await t.machine.waitFor("the end of the job", async () => await t.read(path) !== undefined);
  assert.equal((await t.ended(id)).exit_code, 6);
  assert.match(await t.log(id), /^(?<pids>[1-9]\d* [1-9]\d*)\n\k<pids>\n$/);
});

Deno.test("a follower of a waiting job keeps the runner", async () => {
  await using t = await bootSuite({ config: IDLE });
  await t.ask("POST", "/v1/projects/web/pause");
  const { id } = await t.submit({ project: "web", script: PIDS });
  const ended = t.ended(id);
  const before = await t.show("cicd-runner.service", "MainPID");
  await t.machine.waitFor(
    "the agent's idle exit, or that there is none",
    async () => await t.show("cicd-agent@web.service", "ActiveState") !== "active",
  );
  await t.ask("POST", "/v1/projects/web/resume");
  assert.equal((await ended).state, "succeeded");
  assert.equal((await t.log(id)).split(" ")[0], before);
});

Deno.test("the limits of a job are set on its unit", async () => {
  await using t = await bootSuite();
  const limits = { memory: "64M", cpu: 0.5, tasks: 50 };
  const timeout = "90s";
  const { id } = await t.submit({ project: "web", script: "sleep 30", limits, timeout });
  await t.until(id, ["running"]);
  const unit = `cicd-job-${id}-1.service`;
  assert.equal(await t.show(unit, "MemoryMax"), String(64 * 1024 * 1024));
  assert.equal(await t.show(unit, "MemorySwapMax"), "0");
  assert.equal(await t.show(unit, "CPUQuotaPerSecUSec"), "500ms");
  assert.equal(await t.show(unit, "TasksMax"), "50");
  assert.equal(await t.show(unit, "RuntimeMaxUSec"), "1min 30s");
  assert.equal(await t.show(unit, "Slice"), "cicd-web.slice");
  await t.ask("POST", `/v1/jobs/${id}/cancel`);
  assert.equal((await t.ended(id)).state, "cancelled");
});

Deno.test("the agent's own limits become those of the project's slice", async () => {
  await using t = await bootSuite({
    dropIns: { "cicd-agent@web.service": "[Service]\nMemoryMax=300M\nCPUQuota=150%\n" },
  });
  const hold = await t.submit({ project: "web", script: "sleep 30" });
  await t.until(hold.id, ["running"]);
  const slice = "cicd-web.slice";
  assert.equal(await t.show(slice, "MemoryMax"), String(300 * 1024 * 1024));
  assert.equal(await t.show(slice, "CPUQuotaPerSecUSec"), "1.500000s");
  const other = await t.submit({ project: "api", script: "sleep 30" });
  await t.until(other.id, ["running"]);
  assert.equal(await t.show("cicd-api.slice", "MemoryMax"), "infinity");

  // What `systemctl edit` does: another drop-in and a daemon-reload.
  const dropIn = "[Service]\nMemoryMax=200M\n";
  await t.write("/home/dev/.config/systemd/user/cicd-agent@web.service.d/95-edit.conf", dropIn);
  await t.systemctl("daemon-reload");
  await t.machine.waitFor(
    "the edited limit on the slice",
    async () => await t.show(slice, "MemoryMax") === String(200 * 1024 * 1024),
  );
  assert.equal(await t.show(slice, "CPUQuotaPerSecUSec"), "1.500000s");
  assert.equal((await t.job(hold.id)).state, "running");
});

Deno.test("limits set with set-property reach the slice with the next agent", async () => {
  await using t = await bootSuite();
  const first = await t.submit({ project: "web", script: "true" });
  assert.equal((await t.ended(first.id)).state, "succeeded");
  await t.systemctl("set-property", "cicd-agent@web.service", "TasksMax=77");
  await t.systemctl("restart", "cicd-agent@web.service");
  const second = await t.submit({ project: "web", script: "sleep 30" });
  await t.until(second.id, ["running"]);
  assert.equal(await t.show("cicd-web.slice", "TasksMax"), "77");
});

Deno.test("an agent that systemd cannot execute is named with the reason of its unit", async () => {
  await using t = await bootSuite({
    dropIns: { "cicd-agent@web.service": "[Service]\nExecStart=\nExecStart=/nowhere/agent\n" },
  });
  const { id } = await t.submit({ project: "web", script: "true" });
  const why = /cicd-agent@web.service: .*exit-code, status 203\/EXEC/;
  const ask = async (path: string) => JSON.stringify(await t.ask("GET", path));
  await t.machine.waitFor("the reason", async () => {
    const seen = await ask(`/v1/jobs/${id}`);
    if (!why.test(seen)) throw new Error(seen);
    return true;
  }, { timeoutMs: 60_000 });
  assert.match(await ask("/v1/status"), why);
  assert.match(await ask("/v1/projects"), why);
  await t.ask("POST", `/v1/jobs/${id}/cancel`);
  assert.equal((await t.ended(id)).state, "cancelled");
});
