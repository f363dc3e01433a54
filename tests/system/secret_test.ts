import assert from "node:assert/strict";
import { bootSuite, type SuiteInMachine } from "../support/suite_in_machine.ts";

Deno.test("a secret reaches the job and nothing else", async () => {
  await using suite = await bootSuite();
  const value = "hunter2-correct-horse-battery";
  const base64 = btoa(value);
  const { id } = await suite.submit({
    project: "web",
    script: 'echo "plain $TOKEN"; printf %s "$TOKEN" | base64 -w0; echo; echo ready; ' +
      'printf %s "$TOKEN" | wc -c; read -r _ <~/gate',
    secrets: { TOKEN: value },
  });
  await suite.run(["mkfifo", "gate"]);
  await suite.machine.waitFor("the job", async () => (await suite.log(id)).includes("ready\n"));
  const log = await suite.log(id);
  assert.ok(!log.includes(value) && !log.includes(base64), log);
  // Of base64, the last character may stand: what it is depends on the bytes that follow.
  assert.match(log, new RegExp(`^plain \\*+\n\\*{36,}.?=?\nready\n${value.length}\n`));
  const unit = `cicd-job-${id}-1.service`;
  for (const [where, text] of await tracesOf(suite, unit)) {
    assert.ok(!text.includes(value) && !text.includes(base64), `the secret stands in ${where}`);
  }
  await suite.run(["sh", "-c", "echo go >gate"]);
  assert.equal((await suite.ended(id)).state, "succeeded");
  for (const [where, text] of await tracesOf(suite, unit)) {
    assert.ok(!text.includes(value), `the secret stands in ${where} after the end`);
  }
  // The job's own raw output was the last place; it is masked, and the secret removed, after the end.
  await suite.machine.waitFor("the secret to leave the disk", async () => {
    const places = ["/home/dev", "/run/user/1000"];
    return (await suite.machine.exec(["grep", "-rqF", value, ...places])).code === 1;
  });
  assert.equal((await suite.log(id)).split("\n")[0], `plain ${"*".repeat(value.length)}`);
});

/** Everything that other programs of the machine could read while the job runs. */
async function tracesOf(
  suite: SuiteInMachine,
  unit: string,
): Promise<readonly (readonly [string, string])[]> {
  const { machine } = suite;
  const words = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null";
  return [
    ["systemctl show", await suite.systemctl("show", "--all", unit)],
    ["the command lines", (await machine.exec(["sh", "-c", words])).stdout],
    ["the journal", (await machine.exec(["journalctl", "--output=export"])).stdout],
    ["the unit file", (await machine.exec(["grep", "-r", "", "/run/user/1000/systemd"])).stdout],
    ["the API", (await suite.ask("GET", "/v1/jobs")).text],
  ];
}
