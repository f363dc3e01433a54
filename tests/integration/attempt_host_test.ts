import assert from "node:assert/strict";
import { compileSecrets } from "@lib/spine/logs/job_masks.ts";
import { maskText } from "@lib/foundations/secrets/redactor.ts";
import { AttemptHost } from "@lib/spine/attempts/attempt_host.ts";
import type { AttemptInput } from "@lib/spine/attempts/attempt_input.ts";
import type { SetupLog } from "@lib/spine/attempts/attempt_steps.ts";
import { openSetupLog } from "@lib/spine/logs/setup_log.ts";
import { raceAbort } from "@lib/core/abort.ts";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { newJobId } from "@lib/core/ids.ts";
import { fenceAttempt } from "@lib/spine/executors/evidence.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import {
  type AttemptDirectory,
  attemptDirectory,
  type AttemptRef,
  slotParents,
} from "@lib/spine/jobs/attempt_directory.ts";
import { type AttemptStep, StepFailure } from "@lib/spine/jobs/step.ts";
import { parseAttemptOrder } from "@lib/spine/agent_link/protocol.ts";
import { jobUnitProperties } from "@lib/spine/executors/unit_properties.ts";
import { unitProperty } from "@lib/foundations/systemd/unit_property.ts";
import { FakeExecutor, FakeMachine } from "../support/fake_executor.ts";
import { makeOutcome, makeSpec, projectName } from "../support/job_fixtures.ts";
import { RecordingLogger } from "../support/recording_logger.ts";

const input: AttemptInput = { spec: makeSpec(), secrets: {}, bootId: "boot-1" };
const cancel = { reason: "cancelled", by: "by request" } as const;

/** A machine and a state directory, on which agents come and go. */
class Bench implements AsyncDisposable {
  readonly machine = new FakeMachine();
  readonly log = new RecordingLogger();
  readonly stateDir = Deno.makeTempDirSync({ prefix: "attempt-host-" });
  readonly ref: AttemptRef = { project: projectName(), jobId: newJobId(), number: 1 };
  steps: readonly AttemptStep[] = [];
  setupTimeoutMs = 60_000;
  readonly said: string[] = [];
  configure = (_stamp: string): Promise<void> => Promise.resolve();
  environmentOf = (): Readonly<Record<string, string>> => ({});
  openSetupLog = (_directory: AttemptDirectory, _mask: (text: string) => string): SetupLog => ({
    say: (line) => void this.said.push(line),
    done: () => void this.said.push("done"),
    [Symbol.dispose]() {},
  });
  /** Counts the searches for helper programs of an earlier agent. */
  helpersEnded = 0;
  #host: AttemptHost | undefined;

  get key(): string {
    return `${this.ref.jobId}/${this.ref.number}`;
  }

  get directory() {
    return attemptDirectory(this.stateDir, this.ref);
  }

  /** The directory that an attempt was begun with last. */
  workspaceOf(key = this.key) {
    const of = ({ ref }: AttemptRequest) => `${ref.jobId}/${ref.number}` === key;
    return this.machine.requests.findLast(of)?.directory ?? assert.fail("it was not begun");
  }

  /** Starts an agent in the place of the one before. */
  async agent(bootId = "boot-1"): Promise<AttemptHost> {
    await this.#host?.[Symbol.asyncDispose]();
    const host = new AttemptHost({
      holdMaxMs: () => 86_400_000,
      onHoldEnded: () => Promise.resolve(),
      project: this.ref.project,
      stateDir: this.stateDir,
      executor: new FakeExecutor(this.machine),
      bootId,
      configure: (stamp) => this.configure(stamp),
      recordLog: () => ({ finish: () => Promise.resolve({ logBytes: 42 }) }),
      environmentOf: () => this.environmentOf(),
      steps: this.steps,
      setupTimeoutMs: () => this.setupTimeoutMs,
      openSetupLog: (directory, mask) => this.openSetupLog(directory, mask),
      seal: (secrets) => new TextEncoder().encode(btoa(JSON.stringify(secrets))),
      sealedSecrets: ({ secretsFile }) => JSON.parse(atob(Deno.readTextFileSync(secretsFile))),
      maskOf: async (secrets) => {
        const patterns = await compileSecrets(secrets);
        return (text) => maskText(patterns, text);
      },
      endHelpers: () => {
        this.helpersEnded++;
        return Promise.resolve(1);
      },
      clock: systemClock,
      log: this.log,
    });
    this.#host = host;
    await host.adopt();
    return host;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host?.[Symbol.asyncDispose]();
    await Deno.remove(this.stateDir, { recursive: true });
  }
}

Deno.test("begin() starts an attempt once, however often and at once it is asked", async () => {
  await using t = new Bench();
  const host = await t.agent();
  await Promise.all([host.begin(t.ref, input), host.begin(t.ref, input)]);
  await host.begin(t.ref, input);
  assert.deepEqual(t.machine.begun, [t.key]);
  assert.deepEqual(host.attempts, [t.key]);
  t.machine.end(t.key, makeOutcome());
  assert.equal((await host.ended(t.ref)).logBytes, 42);
  await host.begin(t.ref, input);
  assert.deepEqual(t.machine.begun, [t.key]);
  assert.equal((await host.ended(t.ref)).state, "succeeded");
});

Deno.test("a field of a later release travels from the order to the unit and to the next agent", async () => {
  await using t = new Bench();
  // As the runner sends it: the stored row, in which this release does not know `nice`.
  const order = { ...input, spec: { ...input.spec, nice: 5 } };
  await (await t.agent()).begin(t.ref, parseAttemptOrder(JSON.parse(JSON.stringify(order))));
  const [request] = t.machine.requests;
  assert.ok(request !== undefined);
  const properties = jobUnitProperties(request, {
    workdir: "/work",
    argv: ["/bin/true"],
    environment: {},
    environmentFile: "/run/env",
    managerEnvironment: [],
    runtimeDir: "/run",
    recorder: "/run/record.sh",
  });
  // The one line that a new field costs where it is read.
  const unit = [...properties, unitProperty.tasksMax(Object(request.spec)["nice"])];
  assert.deepEqual(unit.at(-1), unitProperty.tasksMax(5));
  const record = JSON.parse(await Deno.readTextFile(t.directory.attemptFile));
  assert.equal(record.nice, 5);
  t.machine.end(t.key, makeOutcome());
  assert.equal((await (await t.agent()).ended(t.ref)).state, "succeeded");
});

Deno.test("begin() joins an attempt that an earlier agent began and that has ended since", async () => {
  await using t = new Bench();
  await (await t.agent()).begin(t.ref, input);
  const host = await t.agent();
  t.machine.end(t.key, makeOutcome({ exitCode: 7 }));
  await host.begin(t.ref, input);
  assert.equal((await host.ended(t.ref)).exitCode, 7);
  assert.deepEqual(t.machine.begun, [t.key]);
});

Deno.test("begin() settles an attempt that could not be started, and never tries it again", async () => {
  await using t = new Bench();
  const host = await t.agent();
  t.machine.nextStartFails = new CicdError("executor_failed", "Cannot begin: no such shell");
  await host.begin(t.ref, input);
  const outcome = await host.ended(t.ref);
  assert.equal(outcome.reason, "start_failed");
  assert.match(outcome.message, /no such shell/);
  await host.begin(t.ref, input);
  assert.deepEqual(t.machine.begun, []);
});

Deno.test("begin() refuses an attempt that the runner gave up, however late it is asked", async () => {
  await using t = new Bench();
  assert.equal(fenceAttempt({ spec: input.spec, directory: t.directory }), true);
  const host = await t.agent();
  await host.begin(t.ref, input);
  const outcome = await host.ended(t.ref);
  assert.equal(outcome.state, "cancelled");
  assert.match(outcome.message, /gave up/);
  assert.deepEqual(t.machine.begun, []);
});

Deno.test("begin() takes a fence for one though another job has made a dangling link of it", async () => {
  await using t = new Bench();
  assert.equal(fenceAttempt({ spec: input.spec, directory: t.directory }), true);
  Deno.removeSync(t.directory.fenceFile);
  Deno.symlinkSync("/nowhere", t.directory.fenceFile);
  const host = await t.agent();
  await host.begin(t.ref, input);
  assert.equal((await host.ended(t.ref)).state, "cancelled");
  assert.deepEqual(t.machine.begun, []);
});

Deno.test("begin() does not start the job if the runner gives the attempt up during the setup", async () => {
  await using t = new Bench();
  const { directory } = t;
  t.steps = [{
    name: "checkout",
    needed: () => true,
    before() {
      assert.equal(fenceAttempt({ spec: input.spec, directory }), true);
      return Promise.resolve();
    },
  }];
  const host = await t.agent();
  await host.begin(t.ref, input);
  assert.equal((await host.ended(t.ref)).state, "cancelled");
  assert.deepEqual(t.machine.begun, []);
});

Deno.test("doing() names the step under way, and onProgress() each change", async () => {
  await using t = new Bench();
  const said: (string | undefined)[] = [];
  const step = { needed: () => true, before: () => Promise.resolve() };
  t.steps = [
    { ...step, name: "checkout", doing: "checking out the repository" },
    { ...step, name: "artifacts", after: () => Promise.resolve([]) },
  ];
  const host = await t.agent();
  using _listening = host.onProgress(() => said.push(host.doing(t.ref)));
  await host.begin(t.ref, input);
  t.machine.end(t.key, makeOutcome());
  await host.ended(t.ref);
  const both = ["checking out the repository", "artifacts", undefined];
  assert.deepEqual(said, [...both, "artifacts", undefined]);
});

Deno.test("begin() stops an attempt that was given up while it was starting", async () => {
  await using t = new Bench();
  const host = await t.agent();
  t.machine.onBegun = () => void fenceAttempt({ spec: input.spec, directory: t.directory });
  await host.begin(t.ref, input);
  t.machine.end(t.key, makeOutcome({ state: "cancelled" }));
  assert.equal((await host.ended(t.ref)).state, "cancelled");
  assert.deepEqual(t.machine.stops.map(({ key }) => key), [t.key]);
});

Deno.test("adopt() settles an attempt that was given up before it began", async () => {
  await using t = new Bench();
  t.machine.nextStartFails = new CicdError("systemd_unavailable", "No bus");
  await assert.rejects((await t.agent()).begin(t.ref, input));
  assert.equal(fenceAttempt({ spec: input.spec, directory: t.directory }), true);
  const host = await t.agent();
  assert.equal((await host.ended(t.ref)).state, "cancelled");
});

Deno.test("fenceAttempt() leaves an attempt alone that has begun", async () => {
  await using t = new Bench();
  await Deno.mkdir(t.directory.path, { recursive: true });
  await Deno.writeTextFile(t.directory.logFile("merged"), "");
  assert.equal(fenceAttempt({ spec: input.spec, directory: t.directory }), false);
  await assert.rejects(Deno.lstat(t.directory.fenceFile), Deno.errors.NotFound);
});

Deno.test("begin() passes on that it is not known whether an attempt was started", async () => {
  await using t = new Bench();
  const host = await t.agent();
  t.machine.nextStartFails = new CicdError("systemd_unavailable", "The bus is away");
  await assert.rejects(host.begin(t.ref, input), /bus is away/);
  await host.begin(t.ref, input);
  assert.deepEqual(t.machine.begun, [t.key]);
});

Deno.test("begin() settles an attempt on whose way to a start anything throws", async () => {
  const faults: ((t: Bench) => void)[] = [
    (t) => t.machine.nextStartFails = new TypeError("no unref"),
    (t) =>
      t.environmentOf = () => {
        throw new Error("no passwd entry");
      },
    (t) => {
      t.steps = [{ name: "step", needed: () => true, before: () => Promise.resolve() }];
      t.openSetupLog = () => {
        throw new Deno.errors.PermissionDenied("no setup log");
      };
    },
    (t) => {
      // In the way.
      Deno.mkdirSync(t.directory.attemptFile, { recursive: true });
    },
  ];
  for (const fault of faults) {
    await using t = new Bench();
    fault(t);
    const host = await t.agent();
    await host.begin(t.ref, input);
    const { state, reason, message } = await host.ended(t.ref);
    assert.deepEqual([state, reason], ["failed", "start_failed"]);
    assert.match(message, /no unref|no passwd entry|no setup log|Is a directory/);
    assert.deepEqual(t.machine.begun, []);
    await host.begin(t.ref, input);
    assert.deepEqual(t.machine.begun, []);
  }
});

Deno.test("begin() starts nothing with an older configuration than the runner's", async () => {
  await using t = new Bench();
  const host = await t.agent();
  const stamps: string[] = [];
  t.configure = (stamp) => {
    stamps.push(stamp);
    throw new CicdError("invalid_config", "The configuration is invalid: a typo");
  };
  await host.begin(t.ref, { ...input, configStamp: "two" });
  const { reason, message } = await host.ended(t.ref);
  assert.deepEqual([stamps, reason], [["two"], "start_failed"]);
  assert.match(message, /a typo/);
  assert.deepEqual(t.machine.begun, []);
});

Deno.test("begin() follows an attempt that started although its start threw", async () => {
  await using t = new Bench();
  const host = await t.agent();
  t.machine.nextStartFails = new TypeError("late");
  t.machine.found.set(t.key, { kind: "alive" });
  await host.begin(t.ref, input);
  t.machine.end(t.key, makeOutcome({ exitCode: 5 }));
  assert.equal((await host.ended(t.ref)).exitCode, 5);
});

Deno.test("begin() joins an attempt without its secrets, and never begins one", async () => {
  await using t = new Bench();
  const host = await t.agent();
  await host.begin(t.ref, { ...input, secrets: null });
  const outcome = await host.ended(t.ref);
  assert.equal(outcome.reason, "start_failed");
  assert.match(outcome.message, /secrets cannot be unsealed/);
  assert.deepEqual(t.machine.begun, []);
});

Deno.test("begin() never begins what another boot of the machine may have run", async () => {
  await using t = new Bench();
  const host = await t.agent("boot-2");
  await host.begin(t.ref, input);
  assert.equal((await host.ended(t.ref)).state, "lost");
  assert.deepEqual(t.machine.begun, []);
});

Deno.test("adopt() takes over what is alive, and reports how it ends", async () => {
  await using t = new Bench();
  await (await t.agent()).begin(t.ref, input);
  const host = await t.agent();
  assert.deepEqual(host.attempts, [t.key]);
  const ended = host.ended(t.ref);
  t.machine.end(t.key, makeOutcome({ exitCode: 3 }));
  assert.equal((await ended).exitCode, 3);
});

for (const kind of ["ended", "vanished"] as const) {
  Deno.test(`adopt() settles what it finds ${kind}`, async () => {
    await using t = new Bench();
    await (await t.agent()).begin(t.ref, input);
    t.machine.found.set(t.key, { kind, outcome: makeOutcome({ message: kind }) });
    const host = await t.agent();
    assert.equal((await host.ended(t.ref)).message, kind);
    assert.deepEqual(t.machine.begun, [t.key]);
  });
}

Deno.test("adopt() leaves what never began for the runner to ask for", async () => {
  await using t = new Bench();
  await (await t.agent()).begin(t.ref, input);
  t.machine.found.delete(t.key);
  const host = await t.agent();
  assert.deepEqual(host.attempts, []);
  await assert.rejects(host.ended(t.ref), CicdError);
  await host.begin(t.ref, input);
  assert.equal(t.machine.begun.length, 2);
});

Deno.test("adopt() ends the helpers of an earlier agent where one left something undone", async () => {
  await using t = new Bench();
  const first = await t.agent();
  assert.equal(t.helpersEnded, 0);
  await first.begin(t.ref, input);
  await t.agent();
  assert.equal(t.helpersEnded, 1);
});

Deno.test("adopt() starts with a damaged directory among the others", async () => {
  await using t = new Bench();
  await (await t.agent()).begin(t.ref, input);
  const other = attemptDirectory(t.stateDir, { ...t.ref, jobId: newJobId() });
  await Deno.mkdir(other.path, { recursive: true });
  await Deno.writeTextFile(other.attemptFile, '{"project":');
  const host = await t.agent();
  assert.deepEqual(host.attempts, [t.key]);
  assert.deepEqual(t.log.of("error"), ["Cannot read an attempt"]);
});

Deno.test("stop() knows what runs and what has ended, and nothing else", async () => {
  await using t = new Bench();
  const host = await t.agent();
  assert.equal(await host.stop(t.ref, cancel), false);
  await host.begin(t.ref, input);
  assert.equal(await host.stop(t.ref, cancel), true);
  assert.deepEqual(t.machine.stops, [{ key: t.key, why: cancel }]);
  t.machine.end(t.key, makeOutcome());
  await host.ended(t.ref);
  assert.equal(await host.stop(t.ref, cancel), true);
  assert.equal(t.machine.stops.length, 1);
});

Deno.test("a workspace goes with its attempt, also one that the job made read-only", async () => {
  await using t = new Bench();
  const host = await t.agent();
  await host.begin(t.ref, input);
  const { workspace, temporary } = t.workspaceOf();
  await Deno.mkdir(`${workspace}/cache/mod`, { recursive: true });
  await Deno.writeTextFile(`${workspace}/cache/mod/file`, "x");
  await Deno.chmod(`${workspace}/cache/mod`, 0o500);
  await Deno.mkdir(`${temporary}/go-build`);
  assert.equal(((await Deno.stat(temporary)).mode ?? 0) & 0o777, 0o700);
  t.machine.end(t.key, makeOutcome());
  await host.ended(t.ref);
  await host[Symbol.asyncDispose]();
  for (const parent of slotParents(t.stateDir, t.ref.project)) {
    assert.deepEqual([...Deno.readDirSync(parent)], []);
  }
});

Deno.test({
  name: "a workspace with files that the account cannot remove goes through the executor",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using t = new Bench();
    const host = await t.agent();
    await host.begin(t.ref, input);
    const held = `${t.workspaceOf().workspace}/held`;
    Deno.mkdirSync(held);
    // Root can remove all but a mount.
    const mount = new Deno.Command("mount", { args: ["-t", "tmpfs", "none", held] });
    assert(mount.outputSync().success);
    const asked: string[] = [];
    t.machine.removeForeign = async (path) => {
      asked.push(path);
      await new Deno.Command("umount", { args: [`${path}/held`] }).output();
    };
    t.machine.end(t.key, makeOutcome());
    await host.ended(t.ref);
    await host[Symbol.asyncDispose]();
    assert.equal(asked.length, 1);
    for (const parent of slotParents(t.stateDir, t.ref.project)) {
      assert.deepEqual([...Deno.readDirSync(parent)], []);
    }
  },
});

Deno.test("adopt() removes the workspace that an agent left when it was killed", async () => {
  await using t = new Bench();
  await Deno.mkdir(t.directory.workspace, { recursive: true });
  await Deno.writeTextFile(t.directory.outcomeFile, JSON.stringify(makeOutcome()));
  const host = await t.agent();
  await host[Symbol.asyncDispose]();
  await assert.rejects(Deno.lstat(t.directory.workspace), Deno.errors.NotFound);
  assert.deepEqual(t.log.of("info"), []);
});

/** Begins a further job; returns its end and its workspace. */
async function beginOther(t: Bench, host: AttemptHost, jobId = newJobId()) {
  const ref = { ...t.ref, jobId };
  const key = `${jobId}/1`;
  await host.begin(ref, input);
  const { slot, workspace } = t.workspaceOf(key);
  const end = async () => {
    t.machine.end(key, makeOutcome());
    await host.ended(ref);
  };
  return { ref, slot, workspace, end };
}

Deno.test("a workspace keeps its path, is empty at first and belongs to one attempt", async () => {
  await using t = new Bench();
  const host = await t.agent();
  const slots: (number | undefined)[] = [];
  for (let round = 0; round < 3; round++) {
    const one = await beginOther(t, host);
    assert.deepEqual([...Deno.readDirSync(one.workspace)], []);
    const two = await beginOther(t, host);
    Deno.writeTextFileSync(`${one.workspace}/left`, "x");
    Deno.mkdirSync(`${two.workspace}/left/deep`, { recursive: true });
    slots.push(one.slot, two.slot);
    await one.end();
    const three = await beginOther(t, host);
    slots.push(three.slot);
    assert.deepEqual([...Deno.readDirSync(three.workspace)], []);
    await Promise.all([two.end(), three.end()]);
  }
  assert.deepEqual(slots, [1, 2, 1, 1, 2, 1, 1, 2, 1]);
});

Deno.test("an attempt that outlives its agent keeps its workspace", async () => {
  await using t = new Bench();
  const first = await t.agent();
  const one = await beginOther(t, first);
  const two = await beginOther(t, first);
  await one.end();
  Deno.writeTextFileSync(`${two.workspace}/mine`, "x");
  const after: string[] = [];
  t.steps = [{
    name: "artifacts",
    needed: () => true,
    after: ({ directory }) => {
      after.push(directory.workspace, Deno.readTextFileSync(`${directory.workspace}/mine`));
      return Promise.resolve([]);
    },
  }];
  const second = await t.agent();
  const three = await beginOther(t, second);
  const four = await beginOther(t, second);
  assert.deepEqual([two.slot, three.slot, four.slot], [2, 1, 3]);
  t.machine.end(`${two.ref.jobId}/1`, makeOutcome());
  await second.ended(two.ref);
  assert.deepEqual(after, [two.workspace, "x"]);
});

Deno.test("an attempt that has ended holds no workspace, however often it is asked for", async () => {
  await using t = new Bench();
  const one = await beginOther(t, await t.agent());
  await one.end();
  const host = await t.agent();
  await host.begin(one.ref, input);
  assert.equal((await beginOther(t, host)).slot, 1);
});

Deno.test("an attempt that never began keeps its workspace until the runner gives it up", async () => {
  await using t = new Bench();
  t.machine.nextStartFails = new CicdError("systemd_unavailable", "No bus");
  await assert.rejects((await t.agent()).begin(t.ref, input));
  const host = await t.agent();
  const other = await beginOther(t, host);
  assert.equal(other.slot, 2);
  assert.equal(fenceAttempt({ spec: input.spec, directory: t.directory }), true);
  assert.equal((await beginOther(t, host)).slot, 1);
});

Deno.test("an attempt of the release before ends with the workspace that it has", async () => {
  await using t = new Bench();
  const { directory } = t;
  await Deno.mkdir(directory.workspace, { recursive: true });
  await Deno.writeTextFile(`${directory.workspace}/mine`, "x");
  await Deno.writeTextFile(directory.attemptFile, JSON.stringify(input.spec));
  t.machine.found.set(t.key, { kind: "alive" });
  const seen: string[] = [];
  t.steps = [{
    name: "artifacts",
    needed: () => true,
    after: ({ directory }) => {
      seen.push(Deno.readTextFileSync(`${directory.workspace}/mine`));
      return Promise.resolve([]);
    },
  }];
  const host = await t.agent();
  assert.equal((await beginOther(t, host)).slot, 1);
  t.machine.end(t.key, makeOutcome());
  assert.equal((await host.ended(t.ref)).state, "succeeded");
  assert.deepEqual(seen, ["x"]);
  await host[Symbol.asyncDispose]();
  await assert.rejects(Deno.lstat(directory.workspace), Deno.errors.NotFound);
});

Deno.test("begin() neither waits for nor fails by what stands at its workspace", async () => {
  await using t = new Bench();
  const [workspaces] = slotParents(t.stateDir, t.ref.project);
  await Deno.mkdir(`${workspaces}/1/deep`, { recursive: true });
  await Deno.symlink("/", `${workspaces}/2`);
  await Deno.mkdir(`${workspaces}/.gone-before/deep`, { recursive: true });
  const host = await t.agent();
  const one = await beginOther(t, host);
  await Deno.chmod(workspaces, 0o500);
  const two = await beginOther(t, host);
  assert.deepEqual([one.slot, two.slot], [1, 2]);
  for (const { workspace } of [one, two]) assert.deepEqual([...Deno.readDirSync(workspace)], []);
  assert.ok(Deno.lstatSync(two.workspace).isDirectory);
  await Promise.all([one.end(), two.end()]);
  await host[Symbol.asyncDispose]();
  assert.deepEqual([...Deno.readDirSync(workspaces)], []);
});

Deno.test("an attempt whose setup begins again finds nothing that the earlier one left", async () => {
  await using t = new Bench();
  const first = heldStep();
  t.steps = [first.step];
  await (await t.agent()).begin(t.ref, input);
  await first.entered;
  const { workspace } = attemptDirectory(t.stateDir, t.ref, 1);
  // A name that the runtime cannot list, in a directory that is read-only.
  const made = await new Deno.Command("sh", {
    args: ["-c", `d=$(printf 'x\\377') && mkdir "$d" && echo 1 >"$d/f" && chmod 500 "$d" .`],
    cwd: workspace,
  }).output();
  assert(made.success);
  const empty: boolean[] = [];
  t.steps = [{
    ...first.step,
    before({ directory }) {
      // Only an empty directory goes.
      Deno.removeSync(directory.workspace);
      Deno.mkdirSync(directory.workspace);
      empty.push(directory.workspace === workspace);
      return Promise.resolve();
    },
  }];
  const second = await t.agent();
  await second.begin(t.ref, input);
  await t.machine.beginOf(t.key).promise;
  t.machine.end(t.key, makeOutcome());
  await second.ended(t.ref);
  await second[Symbol.asyncDispose]();
  assert.deepEqual(empty, [true]);
  for (const parent of slotParents(t.stateDir, t.ref.project)) {
    assert.deepEqual([...Deno.readDirSync(parent)], []);
  }
});

Deno.test({
  name: "begin() takes the next workspace where one cannot be cleared, and keeps to it",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using t = new Bench();
    const [workspaces] = slotParents(t.stateDir, t.ref.project);
    await using mounts = new AsyncDisposableStack();
    const block = async (slot: number) => {
      const path = `${workspaces}/${slot}`;
      await Deno.mkdir(path, { recursive: true });
      const mount = new Deno.Command("mount", { args: ["-t", "tmpfs", "none", path] });
      assert((await mount.output()).success);
      mounts.defer(async () => void await new Deno.Command("umount", { args: [path] }).output());
    };
    await block(1);
    const host = await t.agent();
    t.machine.nextStartFails = new CicdError("systemd_unavailable", "No bus");
    await assert.rejects(host.begin(t.ref, input));
    await host.begin(t.ref, input);
    assert.equal(t.workspaceOf().slot, 2);
    assert.equal((await beginOther(t, host)).slot, 3);
    // The runner asks again, shows the reason, and gives up in time.
    for (let slot = 4; slot < 14; slot++) await block(slot);
    await assert.rejects(beginOther(t, host), {
      code: "io_failed",
      message: /^Cannot make the directory of the attempt: .*busy.*rename.*workspaces/,
    });
  },
});

Deno.test("no secret is written to an attempt's directory in the clear", async () => {
  await using t = new Bench();
  const host = await t.agent();
  await host.begin(t.ref, { ...input, secrets: { TOKEN: "hunter2-hunter2" } });
  for await (const entry of Deno.readDir(t.directory.path)) {
    if (!entry.isFile) continue;
    const path = `${t.directory.path}/${entry.name}`;
    assert.doesNotMatch(await Deno.readTextFile(path), /hunter2/);
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600, path);
  }
});

const COMMIT = "c".repeat(40);

/** A step that a test holds in its hand. */
function heldStep(name = "checkout") {
  const entered = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const step: AttemptStep = {
    name,
    needed: () => true,
    async before({ say, setEnv, setCommit }, signal) {
      say(`${name} begins`);
      setCommit(COMMIT);
      setEnv("CICD_GIT_SHA", "abc");
      entered.resolve();
      await raceAbort(left.promise, signal);
    },
  };
  return { step, entered: entered.promise, leave: left.resolve, fail: left.reject };
}

Deno.test("begin() answers at once and starts the job when its setup is done", async () => {
  await using t = new Bench();
  const { step, entered, leave } = heldStep();
  t.steps = [step];
  const host = await t.agent();
  await host.begin(t.ref, input);
  await entered;
  assert.deepEqual(t.machine.begun, []);
  assert.equal(await host.commit(t.ref), COMMIT);
  assert.deepEqual(host.attempts, [t.key]);
  leave();
  await t.machine.beginOf(t.key).promise;
  t.machine.end(t.key, makeOutcome());
  const outcome = await host.ended(t.ref);
  assert.equal(outcome.state, "succeeded");
  assert.equal(outcome.commit, COMMIT);
  assert.deepEqual(t.said, ["checkout begins", "done"]);
  assert.deepEqual(t.machine.begun, [t.key]);
});

Deno.test("begin() ends an attempt whose setup fails with the step's reason, and never starts it", async () => {
  await using t = new Bench();
  const { step, entered, fail } = heldStep();
  t.steps = [step, { name: "never", needed: () => true, before: () => assert.fail("was run") }];
  const host = await t.agent();
  await host.begin(t.ref, input);
  await entered;
  fail(new StepFailure("checkout_failed", "There is no such branch"));
  const { state, reason, message } = await host.ended(t.ref);
  assert.deepEqual({ state, reason, message }, {
    state: "failed",
    reason: "checkout_failed",
    message: "There is no such branch",
  });
  assert.deepEqual(t.machine.begun, []);
  assert.deepEqual(t.said, ["checkout begins", "There is no such branch", "done"]);
});

Deno.test("stop() ends an attempt in the middle of its setup", async () => {
  await using t = new Bench();
  const { step, entered } = heldStep();
  t.steps = [step];
  const host = await t.agent();
  await host.begin(t.ref, input);
  await entered;
  assert.equal(await host.stop(t.ref, cancel), true);
  const { state, reason, message } = await host.ended(t.ref);
  assert.deepEqual({ state, reason, message }, {
    state: "cancelled",
    reason: "cancelled",
    message: "Cancelled by request before it began",
  });
  assert.deepEqual(t.machine.begun, []);
  assert.deepEqual(t.machine.stops, []);
});

Deno.test("begin() ends an attempt whose setup takes too long as timed out", async () => {
  await using t = new Bench();
  t.steps = [heldStep().step];
  t.setupTimeoutMs = 1;
  const host = await t.agent();
  await host.begin(t.ref, input);
  const { state, message } = await host.ended(t.ref);
  assert.equal(state, "timed_out");
  assert.match(message, /defaults\.setup_timeout.*checkout/);
});

Deno.test("begin() repeats the setup of an attempt after the agent died in it", async () => {
  await using t = new Bench();
  const first = heldStep();
  t.steps = [first.step];
  await (await t.agent()).begin(t.ref, input);
  await first.entered;
  const second = heldStep();
  t.steps = [second.step];
  const host = await t.agent();
  assert.deepEqual(host.attempts, []);
  await host.begin(t.ref, input);
  await second.entered;
  second.leave();
  await t.machine.beginOf(t.key).promise;
  t.machine.end(t.key, makeOutcome());
  assert.equal((await host.ended(t.ref)).state, "succeeded");
  assert.deepEqual(t.machine.begun, [t.key]);
});

Deno.test("ended() reports what the steps after the job say, in reverse order, and keeps the result", async () => {
  await using t = new Bench();
  const after = (name: string): AttemptStep => ({
    name,
    needed: () => true,
    after: () => Promise.resolve([`${name} says so`]),
  });
  const broken: AttemptStep = {
    name: "broken",
    needed: () => true,
    after: () => Promise.reject(new CicdError("io_failed", "Cannot write")),
  };
  const unwanted: AttemptStep = { ...after("unwanted"), needed: () => false };
  t.steps = [after("first"), broken, unwanted, after("last")];
  const host = await t.agent();
  await host.begin(t.ref, input);
  t.machine.end(t.key, makeOutcome({ message: "Exited with code 0" }));
  const { state, message } = await host.ended(t.ref);
  assert.equal(state, "succeeded");
  assert.equal(
    message,
    "Exited with code 0; last says so; broken failed: Cannot write; first says so",
  );
});

Deno.test("adopt() leaves an attempt that cannot be looked at to a later begin(), and takes over the others", async () => {
  await using t = new Bench();
  const other: AttemptRef = { ...t.ref, jobId: newJobId() };
  const first = await t.agent();
  await first.begin(t.ref, input);
  await first.begin(other, input);
  t.machine.lookFails.set(t.key, new CicdError("executor_failed", "The engine met a defect"));
  const host = await t.agent();
  assert.deepEqual(host.attempts, [`${other.jobId}/1`]);
  await assert.rejects(host.begin(t.ref, input), /The engine met a defect/);
  t.machine.lookFails.clear();
  await host.begin(t.ref, input);
  assert.equal(host.attempts.length, 2);
  assert.equal(t.machine.begun.length, 2);
});

/** What a registry and a git server were seen to answer: the password comes back in many forms. */
const ECHOES = [
  "Cannot pull: the engine says: unauthorized: password s3cr3t-t0ken of user ci is wrong",
  `Cannot fetch: remote: bad header Basic ${btoa("ci:s3cr3t-t0ken")}`,
  `Cannot fetch: ${"x".repeat(1_958)} s3cr3t-t0ken`,
  "Cannot fetch: fatal: unable to access 'https://ci:s3cr3t-t…",
];

for (const [number, echo] of ECHOES.entries()) {
  Deno.test(`an error that echoes a secret is masked in all that is written (${number})`, async () => {
    await using t = new Bench();
    t.steps = [{
      name: "image",
      needed: () => true,
      before: () => Promise.reject(new TypeError(echo, { cause: new Error(echo) })),
    }];
    const host = await t.agent();
    const spec = makeSpec({ secretNames: ["TOKEN"] });
    await host.begin(t.ref, { ...input, spec, secrets: { TOKEN: "s3cr3t-t0ken" } });
    await host.ended(t.ref);
    const kept = [await Deno.readTextFile(t.directory.outcomeFile)];
    const logged = t.log.messages.map((one) =>
      Deno.inspect(one, { depth: 9, strAbbreviateSize: 1e6 })
    );
    const texts = [...kept, ...logged].filter((text) => text.includes("Cannot "));
    assert.ok(texts.length >= 2);
    for (const text of texts) {
      assert.match(text, /[*]{6}/);
      assert.doesNotMatch(text, /s3cr3t|M2NyM3QtdDBr|\bt0ken/);
    }
  });
}

Deno.test("a setup log and message are masked in a setup that an agent's death or a cancel cuts short", async () => {
  await using t = new Bench();
  t.openSetupLog = (directory, mask) =>
    openSetupLog(directory, {
      mask,
      clock: systemClock,
      onFailure: (error) => t.log.error("", { error }),
    });
  let begun = Promise.withResolvers<void>();
  t.steps = [{
    name: "checkout",
    needed: () => true,
    before: async ({ say, secrets }, signal) => {
      say(`cloning with ${secrets.get("TOKEN")}`);
      begun.resolve();
      await systemClock.sleep(60_000, { signal });
    },
  }];
  const spec = makeSpec({ secretNames: ["TOKEN"] });
  const begin = async () => {
    begun = Promise.withResolvers();
    const host = await t.agent();
    await host.begin(t.ref, { ...input, spec, secrets: { TOKEN: "s3cr3t-t0ken" } });
    await begun.promise;
    return host;
  };
  await begin();
  const host = await begin();
  await host.stop(t.ref, { reason: "cancelled", by: "by s3cr3t-t0ken" });
  const { state, message } = await host.ended(t.ref);
  assert.deepEqual([state, message], ["cancelled", "Cancelled by ************ before it began"]);
  assert.equal(
    await Deno.readTextFile(t.directory.setupLog),
    "[setup] cloning with ************\n[setup] the agent restarted: the setup starts again\n" +
      "[setup] cloning with ************\n",
  );
});

Deno.test("problems after a job are masked before the message is cut, also by the next agent", async () => {
  await using t = new Bench();
  t.steps = [{
    name: "artifacts",
    needed: () => true,
    after: () => Promise.resolve([`${"x".repeat(1_970)} s3cr3t-t0ken is in the way`]),
  }];
  const spec = makeSpec({ secretNames: ["TOKEN"] });
  await (await t.agent()).begin(t.ref, { ...input, spec, secrets: { TOKEN: "s3cr3t-t0ken" } });
  const next = await t.agent();
  t.machine.end(t.key, makeOutcome());
  const { message } = await next.ended(t.ref);
  assert.match(message, /x [*]{9}…$/);
  assert.doesNotMatch(message, /s3cr/);
});

Deno.test("doing() says why the end of a job cannot be learned, as long as that is so", async () => {
  await using t = new Bench();
  const host = await t.agent();
  await host.begin(t.ref, input);
  await t.machine.beginOf(t.key).promise;
  assert.equal(host.doing(t.ref), undefined);
  t.machine.away = "the service manager is away: nobody home";
  assert.equal(host.doing(t.ref), t.machine.away);
  t.machine.end(t.key, makeOutcome());
  await host.ended(t.ref);
  assert.equal(host.doing(t.ref), undefined);
});
