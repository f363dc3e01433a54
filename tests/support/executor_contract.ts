/**
 * What every executor must do, run against each of them.
 *
 * The jobs are real programs, so the suite needs a machine that has them; what
 * it waits for are events of the executor, never a time.
 *
 * @module
 */
import type { ScriptWork } from "@lib/spine/spec/script.ts";
import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { newJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptRequest, Executor } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { makeSpec } from "./job_fixtures.ts";

/** The executor under test. */
export interface ContractOptions {
  /** Names the executor in the tests' names. */
  readonly name: string;
  /** A new instance, as a restarted agent would make it. */
  readonly create: (project: ProjectName, stateDir: string) => Promise<Executor>;
  /** Further fields of every spec, such as the container. */
  readonly spec?: Partial<JobSpec>;
  /** For jobs that do not see the machine's own paths. */
  readonly inside?: {
    /** Where the job finds its workspace. */
    readonly workspace: string;
    /** Variables that every job has besides those it is given. */
    readonly variables: readonly string[];
  };
  /** The death of the main process by a signal is told as an exit code, as shells do. */
  readonly signalsAreCodes?: boolean;
  /** The same for signals on which shells say nothing. */
  readonly silentSignalsAreCodes?: boolean;
}

/** The environment of the suite's jobs. */
const JOB_PATH = "/usr/local/bin:/usr/bin:/bin";

/** One executor in a state directory of its own. */
export class Bench implements AsyncDisposable {
  readonly project: ProjectName;
  readonly stateDir: string;
  readonly #options: ContractOptions;
  readonly #executors: Executor[] = [];

  constructor(options: ContractOptions) {
    const project = parseProjectName("contract-suite");
    assert(project !== undefined);
    this.project = project;
    this.stateDir = Deno.makeTempDirSync({ prefix: "executor-contract-" });
    this.#options = options;
  }

  async executor(): Promise<Executor> {
    const executor = await this.#options.create(this.project, this.stateDir);
    this.#executors.push(executor);
    return executor;
  }

  /** Prepares an attempt as the agent does. */
  request(
    work: JobSpec["work"],
    { env = {}, secrets = {}, ...rest }: Partial<Omit<JobSpec, "work" | "env">> & {
      readonly env?: Readonly<Record<string, string>>;
      readonly secrets?: Readonly<Record<string, string>>;
    } = {},
  ): AttemptRequest {
    const ref = { project: this.project, jobId: newJobId(), number: 1 };
    const directory = attemptDirectory(this.stateDir, ref);
    Deno.mkdirSync(directory.workspace, { recursive: true, mode: 0o700 });
    const spec = makeSpec({
      project: this.project,
      work,
      env,
      secretNames: Object.keys(secrets),
      graceMs: 10_000,
      ...this.#options.spec,
      ...rest,
    });
    if (work.kind === "script") Deno.writeTextFileSync(directory.scriptFile, work.text);
    Deno.writeTextFileSync(directory.attemptFile, JSON.stringify(spec));
    return {
      ref,
      spec,
      env: { PATH: JOB_PATH, CICD_JOB_ID: ref.jobId, CICD_ATTEMPT: "1", ...env },
      secrets: new Map(Object.entries(secrets)),
      directory,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const executor of this.#executors) await executor[Symbol.asyncDispose]();
    await Deno.remove(this.stateDir, { recursive: true });
  }
}

/** A job of a shell script. */
export function script(text: string): ScriptWork {
  return { kind: "script", text, shell: "sh" };
}

function command(...argv: string[]): JobSpec["work"] {
  return { kind: "command", argv };
}

/** Ends a wait of the suite that would never end. */
export function deadline(ms = 60_000): AbortSignal {
  return AbortSignal.timeout(ms);
}

async function run(executor: Executor, request: AttemptRequest): Promise<AttemptOutcome> {
  assert.equal(await executor.start(request, deadline()), "started");
  return await executor.ended(request, deadline());
}

export function logOf(
  { directory }: AttemptRequest,
  stream: "merged" | "stdout" | "stderr" = "merged",
) {
  return Deno.readTextFileSync(directory.logFile(stream));
}

/** Resolves when the job has written `text`. */
export async function logged(request: AttemptRequest, text: string): Promise<void> {
  const signal = deadline();
  while (true) {
    try {
      if (logOf(request).includes(text)) return;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    await systemClock.sleep(5, { signal });
  }
}

/** Counts the processes of this machine with `marker` among their arguments. */
export function processesWith(marker: string): number {
  let count = 0;
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      if (Deno.readTextFileSync(`/proc/${entry.name}/cmdline`).includes(marker)) count++;
    } catch (error) {
      // Between the two reads it may have gone.
      if (!(error instanceof Error && /ENOENT|ESRCH|os error [23]\b/.test(String(error)))) {
        throw error;
      }
    }
  }
  return count;
}

const SIGNALS = [
  ["TERM", 15],
  ["KILL", 9],
  ["HUP", 1],
  ["USR1", 10],
  ["INT", 2],
  ["PIPE", 13],
] as const;

/** Registers the suite for one executor. */
export function testExecutorContract(options: ContractOptions): void {
  const test = (criterion: string, body: (bench: Bench) => Promise<void>) =>
    Deno.test(`${options.name} ${criterion}`, async () => {
      await using bench = new Bench(options);
      await body(bench);
    });

  test("succeeds with exit code 0, its output and its figures", async (bench) => {
    const executor = await bench.executor();
    const request = bench.request(script("echo hello; echo trouble >&2"));
    const before = systemClock.now();
    const outcome = await run(executor, request);
    assert.equal(outcome.state, "succeeded");
    assert.equal(outcome.reason, "exit_code");
    assert.equal(outcome.exitCode, 0);
    assert.equal(logOf(request), "hello\ntrouble\n");
    assert.equal(outcome.logBytes, 14);
    assert((outcome.startedAt ?? 0) >= before - 1_000);
    assert(outcome.finishedAt >= (outcome.startedAt ?? Infinity));
    assert(options.inside !== undefined || (outcome.usage.cpuSeconds ?? -1) >= 0);
    assert((outcome.usage.wallSeconds ?? -1) >= 0);
  });

  test("keeps the streams apart when asked", async (bench) => {
    const executor = await bench.executor();
    const request = bench.request(script("echo hello; echo trouble >&2"), { output: "split" });
    assert.equal((await run(executor, request)).state, "succeeded");
    assert.equal(logOf(request, "stdout"), "hello\n");
    assert.equal(logOf(request, "stderr"), "trouble\n");
  });

  test("fails with the job's own exit code, 203 and 127 among them", async (bench) => {
    const executor = await bench.executor();
    for (const code of [1, 2, 42, 127, 130, 141, 143, 203, 255]) {
      const outcome = await run(executor, bench.request(script(`exit ${code}`)));
      assert.equal(outcome.state, "failed");
      assert.equal(outcome.reason, "exit_code", outcome.message);
      assert.equal(outcome.exitCode, code);
    }
  });

  test("names the signal that ended the job", async (bench) => {
    const executor = await bench.executor();
    for (const [signal, number] of SIGNALS) {
      const outcome = await run(executor, bench.request(script(`kill -${signal} $$`)));
      assert.equal(outcome.state, "failed");
      const isSilent = options.silentSignalsAreCodes === true && /INT|PIPE/.test(signal);
      if (options.signalsAreCodes === true || isSilent) {
        assert.equal(outcome.exitCode, 128 + number, outcome.message);
        continue;
      }
      assert.equal(outcome.reason, "signal", outcome.message);
      assert.equal(outcome.signal, `SIG${signal}`);
    }
  });

  test("ends a job at its time limit", async (bench) => {
    const executor = await bench.executor();
    const outcome = await run(
      executor,
      bench.request(command("sleep", "1000"), { timeoutMs: 300 }),
    );
    assert.equal(outcome.state, "timed_out");
    assert.equal(outcome.reason, "timeout");
    assert.match(outcome.message, /300ms/);
  });

  test("does not take what the job left behind for a timeout", async (bench) => {
    const executor = await bench.executor();
    const outcome = await run(
      executor,
      bench.request(script("(trap '' TERM; exec sleep 1000) &\nexit 0"), { graceMs: 2_000 }),
    );
    assert.equal(outcome.state, "succeeded", outcome.message);
  });

  test("gives a stopped job its grace", async (bench) => {
    const executor = await bench.executor();
    const request = bench.request(
      script("trap 'echo tidied; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done"),
    );
    await executor.start(request, deadline());
    await logged(request, "ready");
    await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
    await executor.stop(request, { reason: "superseded", by: "someone else" }, deadline());
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.state, "cancelled");
    assert.equal(outcome.reason, "cancelled");
    assert.equal(outcome.exitCode, 0);
    assert.match(outcome.message, /by request/);
    assert.match(logOf(request), /tidied/);
  });

  test("sends one SIGTERM, and SIGKILL when the grace period is over by the clock", async (bench) => {
    const executor = await bench.executor();
    const request = bench.request(
      script(`trap 'echo asked; sleep 4; echo late' TERM
for i in 1 2 3 4 5 6 7 8; do (trap '' TERM; exec sleep 60) & done
echo ready
while :; do sleep 0.05; done`),
      { graceMs: 2_000 },
    );
    await executor.start(request, deadline());
    await logged(request, "ready");
    await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.state, "cancelled", outcome.message);
    assert.equal(logOf(request).replace("Terminated\n", ""), "ready\nasked\n");
  });

  test("leaves no survivor of a hostile tree", async (bench) => {
    const executor = await bench.executor();
    const marker = `1000.${Math.floor(Math.random() * 1e9)}`;
    const request = bench.request(
      script(`trap '' TERM
sleep ${marker} &
setsid sleep ${marker} &
(trap '' TERM HUP INT; setsid setsid sh -c 'trap "" TERM; sleep ${marker}; sleep ${marker}' &) &
env -i /bin/sh -c 'trap "" TERM; sleep ${marker}; sleep ${marker}' &
while [ "$(grep -l -a ${marker} /proc/[0-9]*/cmdline 2>/dev/null | wc -l)" -lt 4 ]; do :; done
echo ready
while :; do sleep ${marker}; done`),
      { graceMs: 2_000 },
    );
    await executor.start(request, deadline());
    await logged(request, "ready");
    assert(processesWith(marker) >= 4);
    await executor.stop(request, { reason: "superseded", by: "job 7" }, deadline());
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.state, "cancelled");
    assert.equal(outcome.reason, "superseded");
    assert.equal(processesWith(marker), 0);
  });

  test("starts an attempt once, however often it is asked", async (bench) => {
    const executor = await bench.executor();
    const request = bench.request(
      script("echo run >> ran\necho ready\nwhile [ ! -e go ]; do sleep 0.01; done"),
    );
    const starts = await Promise.allSettled(
      Array.from({ length: 8 }, () => executor.start(request, deadline())),
    );
    assert.equal(starts.filter((start) => start.status === "rejected").length, 0);
    await logged(request, "ready");
    assert.equal(await executor.start(request, deadline()), "exists");
    Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");
    assert.equal((await executor.ended(request, deadline())).state, "succeeded");
    assert.equal(await executor.start(request, deadline()), "exists");
    assert.equal((await executor.ended(request, deadline())).state, "succeeded");
    assert.equal(Deno.readTextFileSync(`${request.directory.workspace}/ran`), "run\n");
  });

  test("is found by a later instance while it runs and after", async (bench) => {
    const request = bench.request(
      script("echo ready\nwhile [ ! -e go ]; do sleep 0.01; done\nexit 9"),
    );
    const first = await bench.executor();
    assert.deepEqual(await first.look(request, deadline()), { kind: "never_begun" });
    await first.start(request, deadline());
    await logged(request, "ready");
    await first[Symbol.asyncDispose]();

    const second = await bench.executor();
    assert.deepEqual(await second.look(request, deadline()), { kind: "alive" });
    const ends = [second.ended(request, deadline()), second.ended(request, deadline())];
    Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");
    for (const outcome of await Promise.all(ends)) assert.equal(outcome.exitCode, 9);

    const third = await bench.executor();
    const found = await third.look(request, deadline());
    assert.equal(found.kind, "ended");
    assert(found.kind === "ended" && found.outcome.exitCode === 9);
    await third.stop(request, { reason: "cancelled", by: "late" }, deadline());
    assert.equal((await third.ended(request, deadline())).state, "failed");
  });

  test("gives the job the environment it was given and nothing else", async (bench) => {
    const executor = await bench.executor();
    const env = {
      PATH: JOB_PATH,
      PLAIN: "plain",
      HOSTILE: "a b\tc\n\"d\" 'e' \\f `g` $h ${i} %j #k ;l é 🙂 \\",
      EXIT_CODE: "a job's own",
      EMPTY: "",
    };
    const secrets = {
      TOKEN: "s3cret\n with $dollar `tick` \"quote\" 'single' \\back\\\\slash\r\n\tend\n",
      KEY: "-----BEGIN-----\nab+/=\n-----END-----\n",
    };
    const request = bench.request(command("env", "-0"), { env, secrets });
    assert.equal((await run(executor, request)).state, "succeeded");
    const got = Object.fromEntries(
      logOf(request).split("\0").filter((line) => line !== "").map((line) => [
        line.slice(0, line.indexOf("=")),
        line.slice(line.indexOf("=") + 1),
      ]),
    );
    for (const name of options.inside?.variables ?? []) delete got[name];
    assert.deepEqual(got, { ...request.env, ...secrets });
    for (const entry of Deno.readDirSync(request.directory.path)) {
      const path = `${request.directory.path}/${entry.name}`;
      if (!entry.isFile || path === request.directory.logFile("merged")) continue;
      assert(!Deno.readTextFileSync(path).includes("s3cret"), `${entry.name} holds a secret`);
    }
  });

  test("passes arguments on as they are", async (bench) => {
    const executor = await bench.executor();
    const words = ["$HOME", "${PATH}", "%n", "a b", "'", '"', "\\", "*", "", "é\n", "-n", ";"];
    const request = bench.request(command("printf", "%s\\0", ...words));
    assert.equal((await run(executor, request)).state, "succeeded");
    assert.deepEqual(logOf(request).split("\0").slice(0, -1), words);
  });

  test("runs a script with the argument of its #! line, and with errexit", async (bench) => {
    const executor = await bench.executor();
    const traced = { kind: "script", text: "#!/bin/sh -x\necho b\n", shell: "/bin/sh" } as const;
    const request = bench.request({ ...traced, args: ["-x"] });
    assert.equal((await run(executor, request)).exitCode, 0);
    assert.equal(logOf(request), "+ echo b\nb\n");

    const strict = bench.request({ ...script("echo a; false; echo b"), errexit: true });
    assert.equal((await run(executor, strict)).exitCode, 1);
    assert.equal(logOf(strict), "a\n");
  });

  test("says so when the program cannot be executed", async (bench) => {
    const executor = await bench.executor();
    const missing = await run(executor, bench.request(command("no-such-program-at-all")));
    assert.equal(missing.state, "failed");
    assert.equal(missing.reason, "exec_failed");
    assert.equal(missing.exitCode, 127);
    assert.match(missing.message, /no-such-program-at-all/);

    const broken = bench.request(command("./broken"));
    const path = `${broken.directory.workspace}/broken`;
    Deno.writeTextFileSync(path, "#!/no/such/interpreter\n", { mode: 0o755 });
    const outcome = await run(executor, broken);
    assert.equal(outcome.reason, "exec_failed", outcome.message);
    assert.equal(outcome.exitCode, 126);

    const crlf = bench.request(command("./crlf"));
    Deno.writeTextFileSync(`${crlf.directory.workspace}/crlf`, "#!/usr/bin/env sh\r\ntrue\r\n", {
      mode: 0o755,
    });
    const unread = await run(executor, crlf);
    assert.equal(unread.reason, "exec_failed", unread.message);
    assert.equal(unread.exitCode, 126);
    assert.match(unread.message, /CRLF/);

    const nowhere = await run(
      executor,
      bench.request(command("true"), { workdir: "no/directory" }),
    );
    assert.equal(nowhere.reason, "exec_failed", nowhere.message);
  });

  test("runs in its workspace, without input, and survives its removal", async (bench) => {
    const executor = await bench.executor();
    const request = bench.request(script('pwd; cat; umask; rm -rf "$PWD" 2>/dev/null; exit 4'));
    const outcome = await run(executor, request);
    assert.equal(outcome.exitCode, 4, outcome.message);
    const workspace = options.inside?.workspace ?? request.directory.workspace;
    assert.equal(logOf(request), `${workspace}\n0022\n`);
  });

  test("rejects with the signal's reason and leaves the attempt alone", async (bench) => {
    const executor = await bench.executor();
    const request = bench.request(
      script("echo ready\nwhile [ ! -e go ]; do sleep 0.01; done"),
    );
    await executor.start(request, deadline());
    await logged(request, "ready");
    const reason = new Error("enough");
    await assert.rejects(executor.ended(request, AbortSignal.abort(reason)), reason);
    const controller = new AbortController();
    const waiting = executor.ended(request, controller.signal);
    controller.abort(reason);
    await assert.rejects(waiting, reason);
    assert.deepEqual(await executor.look(request, deadline()), { kind: "alive" });
    Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");
    assert.equal((await executor.ended(request, deadline())).state, "succeeded");
  });
}
