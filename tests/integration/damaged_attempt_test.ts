/**
 * What a job does to the directory of its own attempt: it ends, once, and can be cancelled.
 *
 * @module
 */
import assert from "node:assert/strict";
import { raceAbort } from "@lib/core/abort.ts";
import { systemClock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import { newJobId, parseProjectName } from "@lib/core/ids.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";
import type { UnitProperty } from "@lib/foundations/systemd/unit_property.ts";
import { AttemptHost } from "@lib/spine/attempts/attempt_host.ts";
import { DirectExecutor } from "@lib/spine/executors/direct_executor.ts";
import { UnitExecutor } from "@lib/spine/executors/unit_executor.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";
import { attemptDirectory, type AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { recordLog } from "@lib/spine/logs/log_recorder.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import { processesWith, script } from "../support/executor_contract.ts";
import { makeSpec } from "../support/job_fixtures.ts";
import { RunnerBench } from "../support/runner_process.ts";
import { RecordingLogger } from "../support/recording_logger.ts";

/** The executor of units, or the way in which the direct one contains jobs. */
type Kind = "unit" | "namespace" | "marker";

/** A damage, as the script of a job, in the directory of its attempt. */
interface Damage {
  readonly script: string;
  /** What the message says if the record of the end is lost; else the job's own result counts. */
  readonly lost?: Partial<Record<"unit" | "direct", RegExp>>;
  /** A stop of it is not recorded, as its end seems to be. */
  readonly endsAnyhow?: true;
  /** Needs an account that is bound by modes. */
  readonly modes?: true;
}

const REMOVED = { unit: /directory was removed/, direct: /directory was removed/ };
/** What replaces it is removed as soon as an agent asks. */
const REPLACED = { unit: /directory was re(plac|mov)ed/, direct: /directory was re(plac|mov)ed/ };
/** That of a unit is put in its place. */
const NO_RECORD = { direct: /record of its end is not/ };
/**
 * A supervisor is found by a file in the directory: without it the job is ended, unless it ends
 * before that is noticed.
 */
const UNSUPERVISED = { direct: /attempt\.json was removed|supervisor went away/ };

const DAMAGES: Readonly<Record<string, Damage>> = {
  "removes its workspace": { script: 'rm -rf "$OLDPWD"' },
  "puts a file in place of all workspaces": {
    script: 'd=${OLDPWD%/*}; rm -rf "$d"; echo file >"$d"',
  },
  "removes everything of its job": { script: "cd ..; rm -rf *", lost: REMOVED },
  "removes everything of all projects": { script: "cd ../../../..; rm -rf *", lost: REMOVED },
  "empties its directory": { script: "rm -rf ./*", lost: UNSUPERVISED },
  "renames its directory": { script: 'd=$PWD; mv "$d" "$d.away"', lost: REMOVED },
  "replaces its directory by another": {
    script: 'd=$PWD; mv "$d" "$d.away"; mkdir "$d"',
    lost: UNSUPERVISED,
  },
  "puts a file in place of its directory": {
    script: 'd=$PWD; rm -rf "$d"; echo file >"$d"',
    lost: REPLACED,
  },
  "puts a link to itself in place of its job": {
    script: 'd=$(cd .. && pwd); rm -rf "$d"; ln -s "${d##*/}" "$d"',
    lost: REPLACED,
  },
  "makes a directory in place of the record of its end": {
    script: "rm output.log; mkdir -p result/full",
    lost: NO_RECORD,
  },
  "makes a directory in place of the outcome": { script: "mkdir -p outcome.json/full" },
  "writes an outcome that nobody can read": { script: "echo '{' >outcome.json" },
  "writes an outcome of a terabyte": { script: "truncate -s 1T outcome.json" },
  "forges an outcome": {
    script: `echo '{"state":"failed","reason":"exit_code","message":"x","usage":{},` +
      `"finishedAt":1,"logBytes":0}' >outcome.json`,
  },
  "forges the record of its end": {
    script: "printf 'service_result=success\\nexit_code=exited\\nexit_status=0\\n' >result",
    endsAnyhow: true,
  },
  "puts a link in place of attempt.json": { script: "ln -sf /etc/passwd attempt.json" },
  "puts a FIFO in place of attempt.json": { script: "rm attempt.json; mkfifo attempt.json" },
  "makes attempt.json huge": { script: "truncate -s 1T attempt.json" },
  "puts a terabyte in place of its supervisor's record": {
    script: "truncate -s 1T huge; mv huge supervisor",
    lost: UNSUPERVISED,
  },
  "puts a link to a terabyte in place of its supervisor's record": {
    script: "truncate -s 1T huge; ln -sf huge supervisor",
    lost: UNSUPERVISED,
  },
  "kills its supervisor and names another process": {
    script: `if [ -e supervisor ]; then
  main=$(head -n 1 supervisor)
  printf '%s\\n%s\\n' ${Deno.pid} ${startedAt(Deno.pid)} >supervisor
  kill -9 $main
fi`,
    lost: UNSUPERVISED,
  },
  "closes its directory": {
    script: "chmod 000 .",
    lost: { unit: /was closed/, direct: /./ },
    modes: true,
  },
  "closes its records": { script: "chmod 000 ./*", lost: UNSUPERVISED, modes: true },
  "closes the directory of all projects": {
    script: "chmod 000 ../../../..",
    lost: { unit: /was closed/, direct: /./ },
    modes: true,
  },
};

/** The time of a process's start, which a supervisor's record has. */
function startedAt(pid: number): string {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(") ") + 2).split(" ")[19] ?? "";
}

/** True if the kernel binds this account by modes. */
function isBoundByModes(): boolean {
  const path = Deno.makeTempDirSync({ prefix: "modes-" });
  try {
    Deno.chmodSync(path, 0o000);
    return [...Deno.readDirSync(path)].length > 0;
  } catch {
    return true;
  } finally {
    Deno.removeSync(path);
  }
}

/** Does with real processes what systemd does with a unit of a job. */
class FakeSystemd {
  readonly loaded = new Map<UnitName, AbortController>();
  readonly #removed = new Set<(unit: UnitName) => void>();

  connect(): Promise<UnitManager> {
    const none = () => Promise.resolve({});
    return Promise.resolve({
      closed: new Promise(() => {}),
      startTransientService: (unit, properties) => this.#start(unit, properties),
      stopUnit: (unit) => Promise.resolve(this.loaded.get(unit)?.abort()),
      terminatingProcesses: () => Promise.resolve([]),
      unitExists: (unit) => Promise.resolve(this.loaded.has(unit)),
      onUnitRemoved: (callback) => {
        this.#removed.add(callback);
        return { [Symbol.dispose]: () => void this.#removed.delete(callback) };
      },
      onReloaded: () => ({ [Symbol.dispose]() {} }),
      controlGroup: () => Promise.resolve(undefined),
      readLimits: none,
      readUsage: none,
      setRuntimeProperties: () => Promise.resolve(),
      environmentNames: () => Promise.resolve([]),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }

  #start(unit: UnitName, properties: readonly UnitProperty[]): Promise<"started" | "exists"> {
    if (this.loaded.has(unit)) return Promise.resolve("exists");
    const stop = new AbortController();
    this.loaded.set(unit, stop);
    void this.#run(properties, stop.signal).finally(() => {
      this.loaded.delete(unit);
      for (const callback of this.#removed) callback(unit);
    });
    return Promise.resolve("started");
  }

  async #run(properties: readonly UnitProperty[], stop: AbortSignal): Promise<void> {
    const valueOf = (name: string): unknown =>
      properties.find((property) => property.name === name)?.value.value;
    const argvOf = (name: string): string[] => Object(valueOf(name))[0][1].map(String);
    const asserts: unknown[][] = Object(valueOf("Asserts"));
    if (asserts.some(([, , , path]) => isThere(String(path)))) return;
    const log = String(valueOf("StandardOutputFileToAppend"));
    const cwd = String(valueOf("WorkingDirectory")).replace(/^-/, "");
    const env = Object.fromEntries(
      Array.from(Object(valueOf("Environment")), (one) => String(one).split("=", 2)),
    );
    const job = new Deno.Command("setsid", {
      args: ["-w", "sh", "-c", 'exec "$@" >>"$0" 2>&1', log, ...argvOf("ExecStart")],
      cwd,
      env,
      clearEnv: true,
    }).spawn();
    const kill = () => job.kill("SIGKILL");
    stop.addEventListener("abort", kill, { once: true });
    const { code, signal } = await job.status;
    stop.removeEventListener("abort", kill);
    const [program = "", ...args] = argvOf("ExecStopPost");
    await new Deno.Command(program, {
      args,
      env: {
        SERVICE_RESULT: signal === null ? code === 0 ? "success" : "exit-code" : "signal",
        EXIT_CODE: signal === null ? "exited" : "killed",
        EXIT_STATUS: signal === null ? `${code}` : "KILL",
      },
    }).output();
  }
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A state directory and its machine, on which agents come and go. */
class Bench implements AsyncDisposable {
  readonly root = Deno.makeTempDirSync({ prefix: "damaged-" });
  readonly stateDir = `${this.root}/state`;
  readonly log = new RecordingLogger();
  readonly systemd = new FakeSystemd();
  readonly #kind: Kind;
  #agents = new AsyncDisposableStack();
  /** A supervisor alone does not keep the test alive. */
  readonly #alive = setInterval(() => {}, 1_000);
  readonly #project = parseProjectName("damaged");

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  ref(): AttemptRef {
    assert(this.#project !== undefined);
    return { project: this.#project, jobId: newJobId(), number: 1 };
  }

  async agent(): Promise<AttemptHost> {
    assert(this.#project !== undefined);
    const watcher = this.#agents.use(new LogWatcher({ clock: systemClock }));
    const executor = this.#agents.use(
      this.#kind === "unit"
        ? new UnitExecutor({
          project: this.#project,
          connect: () => this.systemd.connect(),
          runtimeDir: this.root,
          clock: systemClock,
          log: this.log,
        })
        : new DirectExecutor({ clock: systemClock, contain: this.#kind }),
    );
    const host = this.#agents.use(
      new AttemptHost({
        holdMaxMs: () => 86_400_000,
        onHoldEnded: () => Promise.resolve(),
        seal: () => new Uint8Array(),
        maskOf: () => Promise.resolve((text) => text),
        sealedSecrets: () => ({}),
        project: this.#project,
        stateDir: this.stateDir,
        executor,
        bootId: "boot-1",
        configure: () => Promise.resolve(),
        recordLog: (directory, spec, signal) =>
          recordLog({
            directory,
            output: spec.output,
            maxBytes: spec.logMaxBytes,
            clock: systemClock,
            watcher,
            onFailure: (error) => this.log.warning("Cannot record a log", { error }),
            signal,
          }),
        environmentOf: ({ ref }) => ({
          PATH: "/usr/local/bin:/usr/bin:/bin",
          CICD_JOB_ID: ref.jobId,
          CICD_ATTEMPT: `${ref.number}`,
        }),
        steps: [],
        setupTimeoutMs: () => 60_000,
        openSetupLog: () => ({ say() {}, done() {}, [Symbol.dispose]() {} }),
        endHelpers: () => Promise.resolve(0),
        clock: systemClock,
        log: this.log,
      }),
    );
    await host.adopt();
    return host;
  }

  /** Runs a job that counts its starts, does its damage, and ends once it is told to. */
  order(ref: AttemptRef, damage: string) {
    const file = `${this.root}/${ref.jobId}`;
    const { path } = attemptDirectory(this.stateDir, ref);
    const text = `echo run >>${file}.runs
cd "${path}"
${damage}
cd /
: >${file}.done
while [ ! -e ${file}.go ]; do sleep 0.02; done`;
    const spec = makeSpec({ project: ref.project, work: script(text), graceMs: 0 });
    return { spec, secrets: {}, bootId: "boot-1" };
  }

  async damaged(ref: AttemptRef): Promise<void> {
    const signal = AbortSignal.timeout(20_000);
    while (!isThere(`${this.root}/${ref.jobId}.done`)) await systemClock.sleep(5, { signal });
  }

  go(ref: AttemptRef): void {
    Deno.writeTextFileSync(`${this.root}/${ref.jobId}.go`, "");
  }

  runs(ref: AttemptRef): number {
    return Deno.readTextFileSync(`${this.root}/${ref.jobId}.runs`).split("\n").length - 1;
  }

  /** Ends the agents; the jobs go on. */
  async crash(): Promise<void> {
    await this.#agents.disposeAsync();
    this.#agents = new AsyncDisposableStack();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agents.disposeAsync();
    clearInterval(this.#alive);
    await removeTree(this.root);
  }
}

/** Resolves with an attempt's end, or fails after some seconds. */
async function endOf(host: AttemptHost, ref: AttemptRef): Promise<AttemptOutcome> {
  return await raceAbort(host.ended(ref), AbortSignal.timeout(15_000));
}

/** Waits for the supervisor too, which names the job and exits after it has recorded the end. */
async function noneLeft(marker: string): Promise<void> {
  const signal = AbortSignal.timeout(5_000);
  while (processesWith(marker) > 0) await systemClock.sleep(5, { signal });
}

for (const kind of ["unit", "namespace", "marker"] as const) {
  for (const [name, { script: damage, lost, modes, endsAnyhow }] of Object.entries(DAMAGES)) {
    const skip = modes === true && !isBoundByModes();
    const check = ({ state, reason, message }: AttemptOutcome) => {
      const expected = lost?.[kind === "unit" ? "unit" : "direct"];
      // An agent that comes in time opens what was closed.
      const isEither = modes === true || lost === UNSUPERVISED;
      const isOwnEnd = expected === undefined || (isEither && state !== "lost");
      if (isOwnEnd) return assert.equal(state, "succeeded", message);
      assert.equal(state, "lost", message);
      assert.equal(reason, "agent_lost");
      assert.match(message, expected);
    };

    Deno.test({
      name: `A job (${kind}) that ${name} ends once, and hinders no other`,
      ignore: skip,
      async fn() {
        await using t = new Bench(kind);
        const host = await t.agent();
        const ref = t.ref();
        const order = t.order(ref, damage);
        await host.begin(ref, order);
        const end = endOf(host, ref);
        await Promise.race([t.damaged(ref), end]);
        t.go(ref);
        check(await end);
        // As after a lost connection: the answer is the same.
        await host.begin(ref, { ...order, accepted: true });
        check(await endOf(host, ref));
        await noneLeft(ref.jobId);
        assert.deepEqual(host.attempts, []);
        assert.equal(t.runs(ref), 1);
        const other = t.ref();
        t.go(other);
        await host.begin(other, t.order(other, ""));
        assert.equal((await endOf(host, other)).state, "succeeded");
      },
    });

    Deno.test({
      name: `A job (${kind}) that ${name} while its agent is away is never started again`,
      ignore: skip,
      async fn() {
        await using t = new Bench(kind);
        const ref = t.ref();
        const order = t.order(ref, damage);
        const first = await t.agent();
        await first.begin(ref, order);
        await Promise.race([t.damaged(ref), first.ended(ref).catch(ignore("it goes on"))]);
        await t.crash();
        const host = await t.agent();
        await host.begin(ref, { ...order, accepted: true });
        const end = endOf(host, ref);
        t.go(ref);
        check(await end);
        assert.equal(t.runs(ref), 1);
      },
    });

    Deno.test({
      name: `A job (${kind}) that ${name} can be cancelled`,
      ignore: skip,
      async fn() {
        await using t = new Bench(kind);
        const ref = t.ref();
        const host = await t.agent();
        await host.begin(ref, t.order(ref, damage));
        const end = endOf(host, ref);
        await Promise.race([t.damaged(ref), end]);
        await host.stop(ref, { reason: "cancelled", by: "by request" });
        const { state, message } = await end;
        if (endsAnyhow !== true) assert.ok(["cancelled", "lost"].includes(state), message);
        await noneLeft(ref.jobId);
      },
    });
  }
}

/** The directory of its attempt, to the shell of a job. */
const RECORDS = "$CICD_WORKSPACE/../../jobs/$CICD_JOB_ID/$CICD_ATTEMPT";

Deno.test("a job that removes its directory is lost, gives its slot back, and is run once", async () => {
  await using bench = new RunnerBench({ config: "queue: { max_running: 1 }" });
  await bench.start();
  const submit = async (script: string) =>
    (await bench.json("POST", "/v1/jobs", { body: { project: "web", script } })).body.id;
  const endOf = async (id: string) =>
    (await bench.json("GET", `/v1/jobs/${id}/wait?timeout=30s`)).body;
  const ran = `${bench.directory}/ran`;
  const removing = await submit(`echo run >>"${ran}"; cd "${RECORDS}/.."; rm -rf *; exit 3`);
  const forging = await submit(`cd "${RECORDS}"; rm attempt.json; mkdir outcome.json; exit 3`);
  const waiting = await submit("echo fine");
  const lost = await endOf(removing);
  assert.deepEqual([lost.state, lost.reason], ["lost", "agent_lost"], lost.message);
  assert.match(lost.message, /directory was removed/);
  const failed = await endOf(forging);
  assert.deepEqual([failed.state, failed.exit_code], ["failed", 3], failed.message);
  assert.equal((await endOf(waiting)).state, "succeeded");
  assert.equal((await bench.ask("GET", `/v1/jobs/${removing}/logs`)).status, 200);
  // What the runner has recorded survives it, and nothing is asked again.
  await bench.kill();
  await bench.start();
  assert.equal((await endOf(removing)).state, "lost");
  assert.equal(Deno.readTextFileSync(ran), "run\n");
});
