import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { type RunCommand, runCommand } from "@lib/foundations/process/run_command.ts";
import { requestStop } from "@lib/spine/executors/directory_files.ts";
import {
  DirectExecutor,
  type DirectExecutorOptions,
} from "@lib/spine/executors/direct_executor.ts";
import { SUPERVISOR_PROGRAM } from "@lib/spine/executors/supervisor.ts";
import {
  Bench,
  type ContractOptions,
  deadline,
  logged,
  logOf,
  processesWith,
  script,
  testExecutorContract,
} from "../support/executor_contract.ts";

/** Runs no program of the machine that contains jobs in `refuse`. */
function without(refuse: RegExp): RunCommand {
  const none = { code: 1, signal: undefined, stdout: "", stderr: "refused", truncated: false };
  return (argv, options) =>
    refuse.test(argv.join(" ")) ? Promise.resolve(none) : runCommand(argv, options);
}

/** The ways to contain a job, and how to get them on a machine that allows root all of them. */
const WAYS: Readonly<Record<string, Omit<DirectExecutorOptions, "clock">>> = {
  "PID namespace": { contain: "namespace", run: without(/--user/) },
  "user namespace": { contain: "namespace", run: without(/unshare --pid/) },
  "marker": { contain: "marker" },
  "marker, without setsid": { contain: "marker", run: without(/./) },
};

/** Stops the shell that executes it, but not what it began. */
const HALT = 'read -r halt halted </proc/self/stat; kill -s STOP "$halt"';
/** Where a job may stop what enforces its end: the code that is executed next. */
const HALTS = [
  "exec >/dev/null; cicd__timer;",
  "  trap 'cicd__ended=1",
  '  [ "$1" = cicd__has_ended ] || trap',
  '  cicd__reap "$cicd__sleep"',
  "  trap '' TERM\n  [ -e",
  "  until cicd__find_job",
  "  kill -s CONT $cicd__found\n  while",
  '    kill -s CONT "$$" $cicd__chain',
  '  kill -s HUP "$cicd__timer"\n  cicd__reap',
  '  cicd__reap "$cicd__timer"',
  "  cicd__record=",
  '  set -- -f "$cicd__record"',
] as const;

for (const [way, options] of Object.entries(WAYS)) {
  const CONTRACT: ContractOptions = {
    name: `DirectExecutor (${way})`,
    create: () => Promise.resolve(new DirectExecutor({ clock: systemClock, ...options })),
    silentSignalsAreCodes: way === "marker, without setsid",
  };
  testExecutorContract(CONTRACT);

  Deno.test(`${CONTRACT.name} calls an attempt lost whose supervisor was killed, and ends its rest`, async () => {
    await using bench = new Bench(CONTRACT);
    const executor = await bench.executor();
    const marker = `1000.${Math.floor(Math.random() * 1e9)}`;
    const request = bench.request(script(`setsid sleep ${marker} &\necho ready\nsleep ${marker}`));
    await executor.start(request, deadline());
    await logged(request, "ready");
    const [pid] = Deno.readTextFileSync(`${request.directory.path}/supervisor`).split("\n");
    Deno.kill(Number(pid), "SIGKILL");
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.state, "lost");
    assert.equal(outcome.reason, "agent_lost");
    assert.equal(processesWith(marker), 0);
    assert.equal(await executor.start(request, deadline()), "exists");
    assert.equal((await executor.look(request, deadline())).kind, "vanished");
  });

  Deno.test(`${CONTRACT.name} continues what was stopped of a supervisor`, async (t) => {
    await using bench = new Bench(CONTRACT);
    const executor = await bench.executor();
    await t.step("at the end of the job", async () => {
      const request = bench.request(script("kill -STOP $PPID\nexit 6"));
      await executor.start(request, deadline());
      const outcome = await executor.ended(request, deadline());
      assert.equal(outcome.exitCode, 6, outcome.message);
    });
    await t.step("at a stop", async () => {
      const request = bench.request(script("echo ready\nkill -STOP 0\nsleep 60"));
      await executor.start(request, deadline());
      await logged(request, "ready");
      await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
      const outcome = await executor.ended(request, deadline());
      assert.equal(outcome.state, "cancelled", outcome.message);
    });
  });

  Deno.test(`${CONTRACT.name} stops a job wherever its supervisor was stopped`, async (t) => {
    await using bench = new Bench(CONTRACT);
    await Promise.all(
      HALTS.map((halt) =>
        t.step({
          name: halt,
          sanitizeOps: false,
          sanitizeResources: false,
          sanitizeExit: false,
          fn: async () => {
            const parts = SUPERVISOR_PROGRAM.split(halt);
            assert.equal(parts.length, 2);
            await using executor = new DirectExecutor({
              ...options,
              clock: systemClock,
              program: parts.join(`${HALT}\n${halt}`),
            });
            const request = bench.request(script("echo ready\nsleep 60"));
            await executor.start(request, deadline());
            await logged(request, "ready");
            await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
            const outcome = await executor.ended(request, deadline());
            assert.equal(outcome.state, "cancelled", outcome.message);
          },
        })
      ),
    );
  });

  Deno.test(`${CONTRACT.name} ends a job that never ends, as it killed its timer`, async () => {
    await using bench = new Bench(CONTRACT);
    const start = systemClock.now();
    await using executor = new DirectExecutor({
      ...options,
      // Two minutes pass in two seconds.
      clock: {
        now: () => start + (systemClock.now() - start) * 100,
        sleep: (ms, options) => systemClock.sleep(ms / 100, options),
      },
      program: SUPERVISOR_PROGRAM.replace("cicd__timer=$!\n", "$&kill -s KILL $cicd__timer\n"),
    });
    for (const end of ["stop", "limit"]) {
      const limits = { graceMs: 0, ...(end === "limit" ? { timeoutMs: 1_000 } : {}) };
      const request = bench.request(script("echo ready\nsleep 60"), limits);
      await executor.start(request, deadline());
      await logged(request, "ready");
      if (end === "stop") {
        await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
      }
      const outcome = await executor.ended(request, deadline());
      assert.equal(outcome.state, "lost", outcome.message);
    }
  });

  Deno.test(`${CONTRACT.name} stops a job whose timer was not asked, as its agent died`, async () => {
    await using bench = new Bench(CONTRACT);
    const executor = await bench.executor();
    const request = bench.request(script("echo ready\nsleep 60"));
    await executor.start(request, deadline());
    await logged(request, "ready");
    requestStop(request.directory, { reason: "cancelled", by: "by request" });
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.state, "cancelled", outcome.message);
  });

  Deno.test(`${CONTRACT.name} goes on where a job signals its own process group`, async () => {
    await using bench = new Bench(CONTRACT);
    const executor = await bench.executor();
    const request = bench.request(script("trap '' TERM\nkill -TERM 0\nsleep 0.3\nexit 6"), {
      graceMs: 0,
    });
    await executor.start(request, deadline());
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.reason, "exit_code", outcome.message);
    assert.equal(outcome.exitCode, 6);
  });

  Deno.test(`${CONTRACT.name} holds the time limit while no program of ours is alive`, async () => {
    await using bench = new Bench(CONTRACT);
    const first = await bench.executor();
    const request = bench.request(script("trap '' TERM\necho ready\nwhile :; do sleep 1; done"), {
      timeoutMs: 300,
      graceMs: 200,
    });
    await first.start(request, deadline());
    await first[Symbol.asyncDispose]();
    const outcome = await (await bench.executor()).ended(request, deadline());
    assert.equal(outcome.state, "timed_out", outcome.message);
    assert.equal(outcome.signal, "SIGKILL");
  });

  Deno.test(`${CONTRACT.name} lets no job stop its own time limit`, async () => {
    await using bench = new Bench(CONTRACT);
    const first = await bench.executor();
    const request = bench.request(script("echo ready\nkill -STOP 0\nsleep 60"), {
      timeoutMs: 300,
      graceMs: 0,
    });
    await first.start(request, deadline());
    await first[Symbol.asyncDispose]();
    // Without an agent that continues what was stopped.
    if (options.run === undefined || options.contain === "namespace") {
      while (!existsSync(request.directory.resultFile)) {
        await systemClock.sleep(10, { signal: deadline() });
      }
    }
    const outcome = await (await bench.executor()).ended(request, deadline());
    assert.equal(outcome.state, "timed_out", outcome.message);
  });

  Deno.test(`${CONTRACT.name} keeps the end of a job whose rest outlasts the grace period`, async () => {
    await using bench = new Bench(CONTRACT);
    const executor = await bench.executor();
    const rest = `(trap "" TERM; echo ready; while :; do sleep 0.1; done) &`;
    const ends = [["exit 7", 7, undefined], [
      "trap - TERM; kill $$",
      undefined,
      "SIGTERM",
    ]] as const;
    for (const [end, exitCode, signal] of ends) {
      const text = `trap '${end}' TERM\n${rest}\nwhile :; do wait; done`;
      const request = bench.request(script(text), { graceMs: 1_500 });
      await executor.start(request, deadline());
      await logged(request, "ready");
      await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
      const outcome = await executor.ended(request, deadline());
      assert.equal(outcome.state, "cancelled", outcome.message);
      assert.equal(outcome.exitCode, exitCode);
      assert.equal(outcome.signal, signal);
    }
  });

  if (options.contain === "marker") {
    Deno.test(`${CONTRACT.name} ends an attempt whose supervisor a process that escaped holds up`, async () => {
      await using bench = new Bench(CONTRACT);
      const executor = await bench.executor();
      // Whether the job is still there, or has nothing left that could be ended.
      await Promise.all(["wait", "while [ ! -e held ]; do sleep 0.01; done"].map(async (rest) => {
        const holder = `exec 9>/proc/$PPID/fd/1; >held; echo held by \\$\\$.; exec sleep 1000`;
        const request = bench.request(script(`env -i setsid sh -c "${holder}" &\n${rest}`), {
          graceMs: 1_000,
        });
        await executor.start(request, deadline());
        await logged(request, ".\n");
        const [, pid] = /held by (\d+)/.exec(logOf(request)) ?? [];
        await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
        try {
          const outcome = await executor.ended(request, deadline());
          assert.equal(outcome.state, "lost", outcome.message);
        } finally {
          Deno.kill(Number(pid), "SIGKILL");
        }
      }));
    });
    continue;
  }

  Deno.test(`${CONTRACT.name} leaves nothing that dropped its session and its variables`, async () => {
    await using bench = new Bench(CONTRACT);
    const executor = await bench.executor();
    const marker = `1000.${Math.floor(Math.random() * 1e9)}`;
    const request = bench.request(
      script(`setsid env -i sleep ${marker} & \nsetsid env -i sh -c \
'trap "" TERM; sleep ${marker}; sleep ${marker}' &
while [ "$(grep -l -a ${marker} /proc/[0-9]*/cmdline | wc -l)" -lt 3 ]; do :; done
exit 3`),
      { graceMs: 0 },
    );
    await executor.start(request, deadline());
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.exitCode, 3, outcome.message);
    assert.equal(outcome.usage.containment, "namespace");
    assert.equal(processesWith(marker), 0);
  });

  Deno.test(`${CONTRACT.name} is out of reach of its job`, async () => {
    await using bench = new Bench(CONTRACT);
    const executor = await bench.executor();
    const request = bench.request(script(`cd ..
for pid in $(cat supervisor) 1; do kill -KILL $pid; kill -STOP $pid; done
ls -d /proc/[0-9]* | wc -l
exit 3`));
    await executor.start(request, deadline());
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.exitCode, 3, outcome.message);
  });
}
