import assert from "node:assert/strict";
import { bootMachine } from "../support/machine.ts";
import { releaseUnderTest } from "../support/release.ts";

const UNITS = new URL("../../deploy/systemd", import.meta.url).pathname;
const SOCKET = "/run/cicd-runner/dev.sock";

Deno.test("the system unit runs jobs as its account, hardened, and starts by its socket", async () => {
  await using stack = new AsyncDisposableStack();
  const release = await releaseUnderTest(stack, AbortSignal.timeout(300_000));
  const binds = [{ host: release, machine: "/release" }, { host: UNITS, machine: "/deploy" }];
  await using machine = await bootMachine({ users: [{ name: "dev", linger: false }], binds });
  const root = (...argv: readonly string[]) => machine.run(argv);
  await root("mkdir", "-p", "/opt/cicd-toolkit", "/etc/cicd-toolkit/secrets");
  await root("cp", "-r", "/release/bin", "/release/lib", "/opt/cicd-toolkit/");
  for (const unit of ["cicd-runner@.service", "cicd-runner@.socket"]) {
    await root("cp", `/deploy/${unit}`, "/etc/systemd/system/");
  }
  await root("touch", "/etc/cicd-toolkit/dev.yaml");
  const secrets = "/etc/cicd-toolkit/secrets";
  for (const name of ["agent_api_key", "gryt_encryption_key"]) {
    await machine.run(["install", "-m", "0600", "/dev/stdin", `${secrets}/${name}`], {
      stdin: "kept-by-root\n",
    });
  }
  const dropIns = "/etc/systemd/system/cicd-runner@dev.service.d";
  await root("mkdir", "-p", dropIns);
  await root("cp", "/deploy/gryt.conf", dropIns);
  await root("systemctl", "daemon-reload");
  const units = ["cicd-runner@dev.service", "cicd-runner@dev.socket"];
  const verified = await machine.exec(["systemd-analyze", "verify", ...units]);
  assert.deepEqual({ code: verified.code, said: verified.stderr }, { code: 0, said: "" });
  await root("systemctl", "enable", "--now", "cicd-runner@dev.socket");
  const runner = async (...args: readonly string[]) =>
    await machine.exec(["/opt/cicd-toolkit/bin/cicd-runner", "--socket", SOCKET, ...args], {
      user: "dev",
    });
  const work =
    "id -un; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; cat /proc/self/cgroup; exit 3";
  const { code, stdout, stderr } = await runner(
    "run",
    "-p",
    "web",
    "--workspace",
    "--",
    "sh",
    "-c",
    work,
  );
  assert.equal(code, 3, stderr);
  assert.match(stdout, /^dev$/m);
  assert.match(stdout, /^CapBnd:\s+0+$/m);
  assert.match(stdout, /^NoNewPrivs:\s+1$/m);
  assert.match(stdout, /cicd-runner@dev\.service/);
  const shown = [
    "systemctl",
    "show",
    "--property=ActiveState",
    "--value",
    "cicd-runner@dev.service",
  ];
  assert.equal(await machine.run(shown), "active");
  const state = await root("stat", "--format=%U %a", "/var/lib/cicd-runner/dev");
  assert.equal(state, "dev 700");
  // Whoever is not the account cannot even see the socket's answers.
  const other = [
    "setpriv",
    "--reuid=65534",
    "--clear-groups",
    "curl",
    "-s",
    "--unix-socket",
    SOCKET,
  ];
  assert.notEqual((await machine.exec([...other, "http://localhost/health"])).code, 0);
  const credentials = "/run/credentials/cicd-runner@dev.service";
  assert.equal(await root("cat", `${credentials}/agent_api_key`), "kept-by-root");
  const security = await machine.exec([
    ...["systemd-analyze", "security", "--no-pager", "--threshold=25", "cicd-runner@dev.service"],
  ]);
  assert.equal(security.code, 0, security.stdout.slice(-400));
});
