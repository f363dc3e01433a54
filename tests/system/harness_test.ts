import assert from "node:assert/strict";
import { bootMachine } from "../support/machine.ts";
import { machineCache } from "../support/machine_root.ts";

Deno.test("bootMachine() gives a lingering user a manager that runs units", async () => {
  await using machine = await bootMachine();
  const user = "dev";
  const unit = ["systemd-run", "--user", "--wait", "--quiet", "--collect"];
  await machine.run([...unit, "true"], { user });
  assert.equal((await machine.exec([...unit, "sh", "-c", "exit 3"], { user })).code, 3);
  assert.equal(
    await machine.run(["loginctl", "show-user", user, "--property=Linger", "--value"]),
    "yes",
  );
  assert.equal(await machine.run(["id", "-un"], { user }), user);
});

Deno.test("bootMachine() gives each user what was asked for", async () => {
  await using machine = await bootMachine({ users: ["ann", { name: "bob", linger: false }] });
  assert.equal(
    await machine.run(["printenv", "XDG_RUNTIME_DIR"], { user: "ann" }),
    "/run/user/1000",
  );
  assert.equal(
    await machine.run(["systemctl", "--user", "is-active", "default.target"], {
      user: "ann",
    }),
    "active",
  );
  const bob = await machine.exec(["systemctl", "--user", "is-active", "default.target"], {
    user: "bob",
  });
  assert.notEqual(bob.code, 0);
  assert.match(bob.stderr, /Failed to connect to bus/);
});

Deno.test("bootMachine() lets two machines run at once, apart from each other", async () => {
  await using first = await bootMachine();
  await using second = await bootMachine();
  await first.run(["sh", "-c", "echo mine >mark"], { user: "dev" });
  assert.equal(await Deno.readTextFile(first.hostPath("/home/dev/mark")), "mine\n");
  assert.equal((await second.exec(["cat", "/home/dev/mark"])).code, 1);
  assert.notEqual(await first.run(["hostname"]), await second.run(["hostname"]));
});

Deno.test("bootMachine() gives a machine Deno, the checkout and a network of its own", async () => {
  await using machine = await bootMachine({ checkout: "/opt/checkout" });
  const user = "dev";
  assert.match(await machine.run(["deno", "--version"], { user }), /^deno \d/);
  await machine.run(["test", "-f", "/opt/checkout/deno.json"], { user });
  assert.equal((await machine.exec(["touch", "/opt/checkout/x"])).code, 1);
  assert.match(await machine.run(["ip", "-brief", "address"]), /^lo .*127\.0\.0\.1\/8.*$/);
});

Deno.test("Machine.exec() passes input, environment and exit code, and no terminal", async () => {
  await using machine = await bootMachine();
  const script = 'cat; echo "$GREETING" >&2; [ -e /dev/tty ] && true </dev/tty; exit 7';
  const done = await machine.exec(["sh", "-c", script], {
    user: "dev",
    stdin: "in",
    env: { GREETING: "hello" },
  });
  assert.equal(done.code, 7);
  assert.equal(done.stdout, "in");
  assert.match(done.stderr, /^hello\n.*No such device or address/s);
});

Deno.test("Machine.exec() kills the program and its children when the time is up", async () => {
  await using machine = await bootMachine();
  const script = "sleep 4321 & echo started; sleep 4321";
  await assert.rejects(machine.exec(["sh", "-c", script], { timeoutMs: 300 }), /started/);
  await machine.waitFor(
    "the end of the sleepers",
    async () => (await machine.exec(["pgrep", "-f", "sleep 4321"])).code === 1,
  );
});

Deno.test("MachineProcess.kill() reaches the program inside", async () => {
  await using machine = await bootMachine();
  const script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done";
  await using child = await machine.spawn(["sh", "-c", script], { user: "dev" });
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader.read()).value, "ready\n");
  await child.kill("SIGTERM");
  assert.equal((await reader.read()).value, "bye\n");
  assert.equal((await child.status).code, 5);
  await reader.cancel();
});

Deno.test("Machine.restart() keeps the disk and ends every process", async () => {
  await using machine = await bootMachine();
  const user = "dev";
  await machine.run(["systemd-run", "--user", "--unit=stay", "sleep", "4321"], { user });
  await machine.run(["sh", "-c", "echo kept >mark; sync"], { user });
  for (const how of ["power_cut", "orderly"] as const) {
    await machine.restart(how);
    assert.equal(await machine.run(["cat", "mark"], { user }), "kept");
    assert.equal((await machine.exec(["pgrep", "-f", "sleep 4321"])).code, 1);
  }
});

Deno.test("bootMachine() removes what a killed run left", async () => {
  const left = `${machineCache()}/machines/cicd-${Deno.pid}-1-0badcafe`;
  await Deno.mkdir(`${left}/root`, { recursive: true });
  const mounted = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "leftover", `${left}/root`],
  }).output();
  assert.ok(mounted.success);
  await using _machine = await bootMachine();
  await assert.rejects(Deno.stat(left), Deno.errors.NotFound);
});
