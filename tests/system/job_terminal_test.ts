import assert from "node:assert/strict";
import {
  bootSuite,
  STATE_DIR,
  SUITE_USER,
  type SuiteInMachine,
} from "../support/suite_in_machine.ts";

const RUNNER = `/home/${SUITE_USER}/.local/bin/cicd-runner`;
const SLICE = "cicd.slice/cicd-web.slice";

/** Runs a command in the place of a job, in a terminal of `script`, and returns what it shows. */
async function within(t: SuiteInMachine, id: string, command: string): Promise<string> {
  const shown = await t.run([
    "script",
    "--quiet",
    "--return",
    "--command",
    `${RUNNER} attach ${id} -- sh -c '${command}'`,
    "/dev/null",
  ]);
  // At the end of its own input, script types a NUL, which is echoed if the command still runs.
  return shown.replaceAll("^@", "");
}

async function unitsOf(t: SuiteInMachine): Promise<readonly string[]> {
  const patterns = ["cicd-terminal-*", "cicd-hold-*", "cicd-job-*"];
  const list = await t.systemctl("list-units", "--all", "--plain", "--no-legend", ...patterns);
  return list.split("\n").flatMap((line) => line.split(" ")[0] || []);
}

async function nothingLeft(t: SuiteInMachine): Promise<void> {
  await t.machine.waitFor("the units to go", async () => (await unitsOf(t)).length === 0);
  const list =
    `ls -A ${STATE_DIR}/projects/web/workspaces ${STATE_DIR}/projects/web/holds | grep -v :`;
  await t.machine.waitFor(
    "the workspace to go",
    async () => (await t.run(["sh", "-c", `${list} || true`])).trim() === "",
  );
}

Deno.test("attach enters running and held jobs under their limits; nothing stays after the end, a release, an expiry and a killed agent", async () => {
  await using t = await bootSuite();

  const running = await t.submit({
    project: "web",
    command: ["sh", "-c", "echo here >mark; until [ -e go ]; do sleep 0.1; done"],
    limits: { memory: "64M", tasks: 50 },
    secrets: { TOKEN: "never-shown" },
    grace: "60s",
  });
  await t.until(running.id, ["running"]);
  const unit = `cicd-job-${running.id}-1.service`;
  const look = 'cat mark; echo "$CICD_JOB_ID [$TOKEN]"; cat /proc/self/cgroup';
  const seen = await within(t, running.id, look);
  assert.match(seen, new RegExp(`here\\s+${running.id} \\[\\][\\s\\S]*0::\\S*/${unit}`));
  // A terminal does not outlive its job, nor hold up its end.
  const person = t.machine.spawn([
    "script",
    "--quiet",
    "--command",
    `${RUNNER} attach ${running.id}`,
    "/dev/null",
  ], { user: SUITE_USER });
  await t.machine.waitFor(
    "the shell to be in the job's cgroup",
    async () => (await t.pidsOf(`${SLICE}/${unit}`)).length >= 3,
  );
  await within(t, running.id, "touch go");
  assert.equal((await t.ended(running.id)).state, "succeeded");
  await (await person)[Symbol.asyncDispose]();
  await nothingLeft(t);

  const fail = {
    project: "web",
    command: ["sh", "-c", "echo found >mark; exit 3"],
    limits: { memory: "64M" },
    hold_on_failure: "1h",
  };
  const held = await t.submit(fail);
  const ended = await t.ended(held.id);
  assert.deepEqual([ended.state, ended.exit_code], ["failed", 3]);
  const hold = `cicd-hold-${held.id}-1.service`;
  assert.match(
    await within(t, held.id, "cat mark; cat /proc/self/cgroup"),
    new RegExp(`found[\\s\\S]*0::\\S*/${hold}`),
  );
  assert.equal(await t.show(hold, "MemoryMax"), String(64 * 1024 * 1024));
  // It goes on without an agent and with the next one.
  await t.systemctl("kill", "--signal=KILL", "cicd-agent@web.service");
  assert.match(await within(t, held.id, "cat mark; setsid sleep 1000 & sleep 0.2"), /found/);
  assert.match(await t.run([RUNNER, "show", held.id]), /held until/);
  await t.run([RUNNER, "release", held.id]);
  await nothingLeft(t);

  // Without an agent, the service manager ends the cgroup, and the next agent the rest.
  const expired = await t.submit({ ...fail, hold_on_failure: "2s" });
  await t.ended(expired.id);
  await t.systemctl("stop", "cicd-agent@web.service");
  await t.machine.waitFor("the hold's unit to go", async () => (await unitsOf(t)).length === 0);
  await t.ended((await t.submit({ project: "web", command: ["true"] })).id);
  await nothingLeft(t);
});
