import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { signalExec } from "@lib/foundations/docker/exec_terminal.ts";
import { answeringEngine } from "../support/answering_engine.ts";

Deno.test("signalExec() signals no process of this machine for one of another", async () => {
  // The engine's machine has a process of this number too.
  await using child = new Deno.Command("setsid", { args: ["sleep", "600"] }).spawn();
  // The leader of a group, as the first process of a terminal is.
  const group = async () => (await Deno.readTextFile(`/proc/${child.pid}/stat`)).split(") ")[1];
  while (!(await group())?.startsWith(`S ${Deno.pid} ${child.pid} `)) await systemClock.sleep(5);
  const state = { Running: true, ExitCode: null, Pid: child.pid, ContainerID: "a".repeat(64) };
  using engine = answeringEngine(`HTTP/1.0 200 OK\r\n\r\n${JSON.stringify(state)}`);
  await signalExec(
    engine.address,
    { container: "c", id: "0123456789ab", name: "KILL" },
    AbortSignal.timeout(30_000),
  );
  assert.match(await Deno.readTextFile(`/proc/${child.pid}/cmdline`), /sleep/);
});
