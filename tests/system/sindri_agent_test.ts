import assert from "node:assert/strict";
import { bootMachine } from "../support/machine.ts";
import { releaseUnderTest } from "../support/release.ts";

const FILES = new URL("../../deploy/sindri-agent", import.meta.url).pathname;
const UNIT = "sindri-agent.service";
const RUNNER = ["cicd-runner", "--socket", "/run/sindri-agent/runner.sock"];

Deno.test("the unit and the program of Draupnir's guide start the runner, and end it in order", async () => {
  await using stack = new AsyncDisposableStack();
  const release = await releaseUnderTest(stack, AbortSignal.timeout(300_000));
  const binds = [{ host: release, machine: "/release" }, { host: FILES, machine: "/files" }];
  const users = [{ name: "developer", linger: false }];
  await using machine = await bootMachine({ users, binds });
  await machine.run(["cp", `/files/${UNIT}`, "/etc/systemd/system/"]);
  await machine.run(["install", "/files/sindri-agent", "/usr/local/bin/"]);
  await machine.run(["ln", "-s", "/release/bin/cicd-runner", "/usr/local/bin/"]);
  await machine.run(["mkdir", "/etc/sindri-agent"]);
  const put = (text: string) =>
    machine.run(["install", "-m", "0600", "/dev/stdin", "/etc/sindri-agent/env"], { stdin: text });
  const state = async () => (await machine.exec(["systemctl", "is-active", UNIT])).stdout.trim();

  await put("SINDRI_CONSOLE_URL=https://console.invalid\n");
  await machine.run(["systemctl", "daemon-reload"]);
  const verified = await machine.exec(["systemd-analyze", "verify", UNIT]);
  assert.deepEqual({ code: verified.code, said: verified.stderr }, { code: 0, said: "" });
  const refused = await machine.exec(["systemctl", "start", UNIT]);
  assert.notEqual(refused.code, 0);
  const why = await machine.run(["journalctl", "-u", "sindri-agent", "-o", "cat"]);
  assert.match(why, /SINDRI_CONSOLE_URL and SINDRI_CONSOLE_API_KEY must be set/);

  await put(
    "SINDRI_CONSOLE_URL=https://console.invalid\nSINDRI_CONSOLE_API_KEY=sk-never-shown\n" +
      "SINDRI_INSTANCE_ID=my-instance-01\nSINDRI_PROVIDER=fly\nSINDRI_REGION=iad\n",
  );
  await machine.run(["systemctl", "enable", UNIT]);
  await machine.run(["systemctl", "start", UNIT]);
  assert.equal(await state(), "active");
  const job = [...RUNNER, "run", "--project=web", "--", "sh", "-c", "id -un; exit 3"];
  const { code, stdout, stderr } = await machine.exec(job, { user: "developer" });
  assert.equal(code, 3, stderr);
  assert.match(stdout, /^developer$/m);
  await machine.run(["systemctl", "stop", UNIT]);
  assert.equal(await state(), "inactive");
  const journal = await machine.run(["journalctl", "-u", "sindri-agent", "-o", "cat"]);
  assert.doesNotMatch(journal, /sk-never-shown/);
});
