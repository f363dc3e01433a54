/**
 * The executor contract against the service manager of the user who runs this;
 * started by `unit_executor_test.ts` inside a booted machine.
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { silentLogger } from "../support/silent_logger.ts";
import { connectManager } from "@lib/foundations/systemd/connect_manager.ts";
import { UnitExecutor } from "@lib/spine/executors/unit_executor.ts";
import {
  agentServiceName,
  jobUnitName,
  projectSliceName,
} from "@lib/foundations/systemd/unit_name.ts";
import {
  Bench,
  type ContractOptions,
  deadline,
  logged,
  script,
  testExecutorContract,
} from "../support/executor_contract.ts";

/** @param socketsIn Returns the directory of the sockets, given the account's. */
function contract(name: string, socketsIn: (own: string) => string): ContractOptions {
  return {
    name,
    create: (project) => {
      const runtimeDir = Deno.env.get("XDG_RUNTIME_DIR");
      assert(runtimeDir !== undefined);
      return Promise.resolve(
        new UnitExecutor({
          project,
          connect: (signal) => connectManager({ XDG_RUNTIME_DIR: socketsIn(runtimeDir) }, signal),
          runtimeDir,
          clock: systemClock,
          log: silentLogger,
        }),
      );
    },
  };
}

/** Makes a directory with the bus alone. */
function onlyBus(own: string): string {
  const path = Deno.makeTempDirSync();
  Deno.symlinkSync(`${own}/bus`, `${path}/bus`);
  return path;
}

const CONTRACT = contract("UnitExecutor", (own) => own);
const OVER_BUS = contract("UnitExecutor over the bus", onlyBus);

testExecutorContract(CONTRACT);
testExecutorContract(OVER_BUS);

/** Runs a job in which something happens to the connection. */
async function runThrough(bench: Bench, event: () => Promise<unknown>): Promise<void> {
  const executor = await bench.executor();
  const request = bench.request(
    script("echo ready\nwhile [ ! -e go ]; do sleep 0.01; done\nexit 6"),
  );
  await executor.start(request, deadline());
  await logged(request, "ready");
  const ended = executor.ended(request, deadline());
  await event();
  Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");
  assert.equal((await ended).exitCode, 6);
}

Deno.test("UnitExecutor needs no bus", async () => {
  const units = ["dbus.socket", "dbus.service"];
  await using bench = new Bench(CONTRACT);
  try {
    await systemctl("stop", ...units);
    await runThrough(bench, () => Promise.resolve());
  } finally {
    await systemctl("start", "dbus.socket");
  }
});

Deno.test("UnitExecutor takes the bus where the manager's own socket does not answer as known", async () => {
  const sockets = onlyBus(Deno.env.get("XDG_RUNTIME_DIR") ?? "");
  Deno.mkdirSync(`${sockets}/systemd`);
  const other = Deno.listen({ transport: "unix", path: `${sockets}/systemd/private` });
  const refusing = (async () => {
    for await (const connection of other) {
      await connection.write(new TextEncoder().encode("ERROR\r\n"));
      connection.close();
    }
  })();
  {
    await using bench = new Bench(contract("UnitExecutor elsewhere", () => sockets));
    await runThrough(bench, () => Promise.resolve());
  }
  other.close();
  await refusing;
});

Deno.test("UnitExecutor waits through a re-execution of the manager", async () => {
  await using bench = new Bench(CONTRACT);
  await runThrough(bench, () => systemctl("daemon-reexec"));
});

Deno.test("UnitExecutor waits through a restart of the bus", async () => {
  await using bench = new Bench(OVER_BUS);
  await runThrough(bench, () => systemctl("restart", "dbus.service"));
});

async function systemctl(...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("systemctl", { args: ["--user", ...args] }).output();
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("UnitExecutor keeps the record of a job across a daemon-reload", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(
    script("echo ready\nwhile [ ! -e go ]; do sleep 0.01; done\nexit 5"),
    { secrets: { TOKEN: "$a;b" } },
  );
  await executor.start(request, deadline());
  await logged(request, "ready");
  await systemctl("daemon-reload");
  Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");
  const outcome = await executor.ended(request, deadline());
  assert.equal(outcome.exitCode, 5, outcome.message);
});

Deno.test("UnitExecutor says so when the kernel refuses the program", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request({ kind: "command", argv: ["./garbage"] });
  Deno.writeTextFileSync(`${request.directory.workspace}/garbage`, "no program", { mode: 0o755 });
  await executor.start(request, deadline());
  const outcome = await executor.ended(request, deadline());
  assert.equal(outcome.reason, "exec_failed", outcome.message);
  assert.equal(outcome.exitCode, 126);
});

Deno.test("UnitExecutor leaves no secret behind, also when no one waits for the end", async () => {
  await using bench = new Bench(CONTRACT);
  const first = await bench.executor();
  const request = bench.request(script("echo ready\nwhile [ ! -e go ]; do sleep 0.01; done"), {
    secrets: { TOKEN: "hush" },
  });
  await first.start(request, deadline());
  await logged(request, "ready");
  const file = `${Deno.env.get("XDG_RUNTIME_DIR")}/cicd-toolkit/secrets/${
    jobUnitName(request.ref)
  }.env`;
  assert.equal((Deno.statSync(file).mode ?? 0) & 0o777, 0o600);
  await first[Symbol.asyncDispose]();
  const later = await bench.executor();
  const ended = later.ended(request, deadline());
  Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");
  await ended;
  assert.throws(() => Deno.statSync(file), Deno.errors.NotFound);
});

const STUBBORN = script(
  "trap '' TERM\n(while :; do sleep 1000; done) &\necho ready\nwhile :; do sleep 1000; done",
);
const CANCEL = { reason: "cancelled", by: "by request" } as const;

Deno.test("UnitExecutor kills at a grace shorter than systemd's, and has the record of it", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(STUBBORN, { graceMs: 300 });
  await executor.start(request, deadline());
  await logged(request, "ready");
  await executor.stop(request, CANCEL, deadline());
  await executor.stop(request, CANCEL, deadline());
  const outcome = await executor.ended(request, deadline());
  assert.equal(outcome.state, "cancelled", outcome.message);
  assert.match(outcome.message, /did not exit within its grace period of 300ms/);
  // systemd's own SIGKILL would be a timeout.
  assert.match(Deno.readTextFileSync(request.directory.resultFile), /^service_result=signal$/m);
});

Deno.test("UnitExecutor kills what outlives the main process at a grace shorter than systemd's", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(
    script("(trap '' TERM; echo ready; while :; do sleep 1000; done) &\nwait"),
    { graceMs: 300 },
  );
  await executor.start(request, deadline());
  await logged(request, "ready");
  const loaded = async () =>
    await systemctl("show", "-p", "SubState", "--value", jobUnitName(request.ref));
  await executor.stop(request, CANCEL, deadline());
  const ended = executor.ended(request, deadline());
  let state = await loaded();
  while (state !== "dead" && state !== "final-sigkill") state = await loaded();
  // systemd's own SIGKILL comes in a state of its own.
  assert.equal(state, "dead");
  const outcome = await ended;
  assert.deepEqual([outcome.state, outcome.signal], ["cancelled", "SIGTERM"], outcome.message);
});

Deno.test("UnitExecutor leaves it to systemd to kill a job whose agent went away", async () => {
  await using bench = new Bench(CONTRACT);
  const first = await bench.executor();
  const request = bench.request(STUBBORN, { graceMs: 300 });
  await first.start(request, deadline());
  await logged(request, "ready");
  await first.stop(request, CANCEL, deadline());
  await first[Symbol.asyncDispose]();
  const outcome = await (await bench.executor()).ended(request, deadline());
  assert.equal(outcome.state, "cancelled", outcome.message);
  assert.match(Deno.readTextFileSync(request.directory.resultFile), /^service_result=timeout$/m);
});

Deno.test("UnitExecutor puts the agent's limits on the project's slice, and follows an edit", async () => {
  await using bench = new Bench(CONTRACT);
  const units = `${Deno.env.get("HOME")}/.config/systemd/user`;
  Deno.mkdirSync(units, { recursive: true });
  const edit = async (limit: string) => {
    Deno.writeTextFileSync(
      `${units}/${agentServiceName(bench.project)}`,
      `[Service]\nExecStart=/bin/true\n${limit}\n`,
    );
    await systemctl("daemon-reload");
  };
  const sliceHas = async (limit: string) => {
    const shown = await systemctl("show", projectSliceName(bench.project), "-p", "MemoryMax");
    return shown === `MemoryMax=${limit}`;
  };
  await edit("MemoryMax=200M");
  const executor = await bench.executor();
  const request = bench.request(script("while [ ! -e go ]; do sleep 0.01; done"));
  await executor.start(request, deadline());
  assert(await sliceHas(String(200 * 1024 ** 2)));
  await edit("MemoryMax=100M");
  const patience = deadline();
  while (!await sliceHas(String(100 * 1024 ** 2))) patience.throwIfAborted();
  Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");
  await executor.ended(request, deadline());
  Deno.removeSync(`${units}/${agentServiceName(bench.project)}`);
  await systemctl("daemon-reload");
});
