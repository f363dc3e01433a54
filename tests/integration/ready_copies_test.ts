import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { cacheStep } from "@lib/features/caches/cache_step.ts";
import { listCaches } from "@lib/features/caches/cache_store.ts";
import { cacheSource } from "@lib/features/caches/cleaning.ts";
import { listReadyCopies, ReadyCopies } from "@lib/features/caches/ready_copies.ts";
import { type RunCommand, runCommand } from "@lib/foundations/process/run_command.ts";
import type { CacheSpec } from "@lib/spine/spec/job_spec.ts";
import { makeOutcome } from "../support/job_fixtures.ts";
import { RunnerBench } from "../support/runner_process.ts";
import { openWorkspace, type Workspace } from "../support/workspace.ts";

const NEVER = new AbortController().signal;
const MIB = 1024 ** 2;
const target: CacheSpec = { name: "target", paths: ["target"], keyFiles: ["Cargo.lock"] };
const ccache: CacheSpec = { name: "ccache", paths: [".ccache"], keyFiles: [] };

/** The caches of an agent, which makes copies when it is told to. */
async function setup({ maxBytes = 100 * MIB, minFreeBytes = () => 0, run = runCommand }: {
  maxBytes?: number;
  minFreeBytes?: () => number;
  run?: RunCommand;
} = {}) {
  const workspace = await openWorkspace();
  const { stateDir, ref: { project } } = workspace;
  const failures: unknown[] = [];
  let unpacked = 0;
  const tools = {
    stateDir,
    limits: () => ({ maxBytes, maxAgeMs: 86_400_000 }),
    env: Deno.env.toObject(),
    run: ((argv, options) => {
      if (argv.includes("--extract")) unpacked++;
      return run(argv, options);
    }) satisfies RunCommand,
  };
  const ready = new ReadyCopies({
    ...tools,
    ...{ project, minFreeBytes },
    onFailure: (_path, error) => failures.push(error),
  });
  const step = cacheStep({ ...tools, clock: systemClock, ready });
  const copies = () => listReadyCopies(stateDir, project);
  return {
    ...{ stateDir, project, failures, ready, step, copies },
    /** How many archives were unpacked. */
    unpacked: () => unpacked,
    /** An attempt whose caches are restored. */
    async restored(cache: CacheSpec = target): Promise<Workspace> {
      const attempt = await workspace.next();
      await attempt.write("Cargo.lock", "v1");
      await step.before?.(attempt.context({ caches: [cache] }), NEVER);
      return attempt;
    },
    /** The end of its job. */
    async ended(attempt: Workspace, cache: CacheSpec = target, outcome = makeOutcome()) {
      return await step.after?.(attempt.context({ caches: [cache] }), outcome, NEVER) ?? [];
    },
    /** Makes copies until `isDone`. */
    async make(isDone: () => boolean) {
      using stop = stopper();
      const running = ready.run(stop.signal).catch((error) => assert(stop.signal.aborted, error));
      await until(isDone);
      stop.abort();
      await running;
    },
    [Symbol.asyncDispose]: () => workspace[Symbol.asyncDispose](),
  };
}

function stopper() {
  const controller = new AbortController();
  const abort = () => controller.abort();
  return { signal: controller.signal, abort, [Symbol.dispose]: abort };
}

async function until(isDone: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(30_000);
  while (!isDone()) await systemClock.sleep(5, { signal: deadline });
}

const read = ({ directory }: Workspace, path: string) =>
  Deno.readTextFile(`${directory.workspace}/${path}`);

/** The first job, after which a copy is ready. */
async function firstJob(t: Awaited<ReturnType<typeof setup>>, cache = target, path = "target/a") {
  const first = await t.restored(cache);
  await first.write(path, "as saved");
  await t.ended(first, cache);
  await t.make(() => t.copies().length === 1);
}

Deno.test("a copy that is ready is moved to the next job, as the archive has it", async () => {
  await using t = await setup();
  await firstJob(t);
  assert.equal(t.unpacked(), 1);
  const second = await t.restored();
  assert.equal(await read(second, "target/a"), "as saved");
  assert.equal(t.unpacked(), 1);
  assert.deepEqual(t.copies(), []);
  assert.match(second.said.join(), /restored \S+ into target from the entry of this key/);
  // What a job does to its own files reaches no other job, however it ends.
  await second.write("target/a", "changed");
  assert.deepEqual(await t.ended(second, target, makeOutcome({ state: "failed" })), []);
  await t.make(() => t.copies().length === 1);
  assert.equal(await read(await t.restored(), "target/a"), "as saved");
  assert.equal(t.unpacked(), 2);
  assert.deepEqual(t.failures, []);
});

Deno.test("of two jobs at once, one gets the copy and the other unpacks", async () => {
  await using t = await setup();
  await firstJob(t);
  const both = await Promise.all([t.restored(), t.restored()]);
  for (const each of both) assert.equal(await read(each, "target/a"), "as saved");
  assert.equal(t.unpacked(), 2);
});

Deno.test("a job waits for the copy that is being made for it", async () => {
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const run: RunCommand = async (argv, options) => {
    if (argv.includes("--extract")) {
      begun.resolve();
      await goOn.promise;
    }
    return await runCommand(argv, options);
  };
  await using t = await setup({ run });
  const first = await t.restored();
  await first.write("target/a", "as saved");
  await t.ended(first);
  using stop = stopper();
  const running = t.ready.run(stop.signal).catch((error) => assert(stop.signal.aborted, error));
  await begun.promise;
  const second = t.restored();
  goOn.resolve();
  assert.equal(await read(await second, "target/a"), "as saved");
  assert.equal(t.unpacked(), 1);
  stop.abort();
  await running;
});

Deno.test("a copy of an entry that was saved again is not used, and goes", async () => {
  await using t = await setup();
  await firstJob(t, ccache, ".ccache/a");
  const one = await t.restored(ccache);
  const other = await t.restored(ccache);
  await t.ended(other, ccache);
  await t.make(() => t.copies().length === 1);
  await one.write(".ccache/a", "newer");
  await t.ended(one, ccache);
  const stale = t.copies().map(({ archive }) => archive);
  const last = await t.restored(ccache);
  assert.equal(await read(last, ".ccache/a"), "newer");
  assert.deepEqual(t.copies().map(({ archive }) => archive), stale);
  await t.ended(last, ccache);
  await t.make(() => t.copies().length === 1 && t.copies()[0]?.archive !== stale[0]);
});

Deno.test("copies make room for entries, and are cleaned as caches", async () => {
  const noise = (length: number) => crypto.getRandomValues(new Uint8Array(length)).toHex();
  await using t = await setup({ maxBytes: 250_000 });
  const first = await t.restored();
  await first.write("target/a", noise(60_000));
  await t.ended(first);
  await t.make(() => t.copies().length === 1);
  const source = cacheSource({
    stateDir: t.stateDir,
    limits: () => ({ maxAgeMs: 1, maxBytes: 1 }),
  });
  const { things } = await source.find(NEVER);
  assert.deepEqual(things.map(({ name }) => name), ["web/target", "web/target"]);
  const other = await t.restored(ccache);
  await other.write(".ccache/a", noise(60_000));
  await t.ended(other, ccache);
  assert.deepEqual(t.copies(), []);
  assert.equal((await listCaches(t.stateDir, t.project)).length, 2);
  for (const thing of (await source.find(NEVER)).things) await source.remove(thing, NEVER);
  assert.deepEqual((await source.find(NEVER)).things, []);
});

Deno.test("an agent has a copy ready once a job with a cache is over", async () => {
  await using bench = new RunnerBench({ idleExit: "1h" });
  await bench.start();
  const job = {
    project: "web",
    files: { "Cargo.lock": "v1" },
    caches: [{ name: "target", paths: ["target"], key_files: ["Cargo.lock"] }],
    script: "mkdir -p target && echo run >>target/runs && cat target/runs",
  };
  const directory = `${bench.stateDir}/projects/web/caches/target`;
  const copies = () =>
    [...Deno.readDirSync(directory)].map(({ name }) => name)
      .filter((name) => name.endsWith(".ready"));
  const first = await bench.runJob(job);
  assert.equal(first.state, "succeeded", first.message);
  await until(() => copies().length === 1);
  const [before] = copies();
  const second = await bench.runJob(job);
  assert.equal(second.state, "succeeded", second.message);
  const log = await (await bench.ask("GET", `/v1/jobs/${second.id}/logs`)).text();
  assert.match(log, /restored \S+ into target/);
  assert.equal(log.match(/^run$/gm)?.length, 2);
  // As saved again, not as the second job left it.
  await until(() => copies().length === 1);
  assert.deepEqual(copies(), [before]);
  assert.equal(await Deno.readTextFile(`${directory}/${before}/target/runs`), "run\n");
});

Deno.test("what a killed agent left of a copy or an entry goes when the next one uses caches", async () => {
  await using t = await setup();
  await firstJob(t);
  const caches = `${t.stateDir}/projects/${t.project}/caches`;
  const left = [`${caches}/target/.tmp-left/files/target`, `${caches}/target/.tmp-aside`];
  for (const path of left) await Deno.mkdir(path, { recursive: true });
  await Deno.writeTextFile(`${caches}/.tmp-job-1`, "half an archive");
  const drafts = () =>
    [caches, `${caches}/target`].flatMap((path) =>
      [...Deno.readDirSync(path)].filter(({ name }) => name.startsWith(".tmp-"))
    );
  const ready = new ReadyCopies({
    ...{ stateDir: t.stateDir, project: t.project, run: runCommand, env: {} },
    limits: () => ({ maxBytes: 100 * MIB }),
    minFreeBytes: () => 0,
    onFailure: (_path, error) => t.failures.push(error),
  });
  using stop = stopper();
  const running = ready.run(stop.signal).catch((error) => assert(stop.signal.aborted, error));
  await until(() => drafts().length === 0);
  stop.abort();
  await running;
  assert.equal(t.copies().length, 1);
  assert.equal((await listCaches(t.stateDir, t.project)).length, 1);
  assert.deepEqual(t.failures, []);
});

Deno.test("a job that changes the record of its caches hides no copy and no size", async () => {
  await using t = await setup();
  await firstJob(t);
  const caches = `${t.stateDir}/projects/${t.project}/caches`;
  for (const [index, bytes] of ["-5", "1.5", "1e300", "0"].entries()) {
    const attempt = await t.restored();
    const file = `${attempt.directory.path}/caches.json`;
    const record = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, record.replace(/"bytes":\d+/, `"bytes":${bytes}`));
    await t.ended(attempt);
    // Copies are made in turn, and this one is the last.
    const other: CacheSpec = { ...ccache, name: `other${index}` };
    const last = await t.restored(other);
    await last.write(".ccache/a", "a");
    await t.ended(last, other);
    await t.make(() => t.copies().some(({ name }) => name === other.name));
    const ready = [...Deno.readDirSync(`${caches}/target`)].filter(({ isDirectory }) =>
      isDirectory
    );
    const listed = t.copies().filter(({ name }) => name === "target");
    assert.equal(ready.length, listed.length, bytes);
    assert(listed.every((copy) => copy.bytes > 0), bytes);
  }
});

Deno.test("no copy is made of the disk space that jobs need to start", async () => {
  let asked = 0;
  let floor = Infinity;
  await using t = await setup({
    minFreeBytes() {
      asked++;
      return floor;
    },
  });
  const first = await t.restored();
  await first.write("target/a", "as saved");
  await t.ended(first);
  await t.make(() => asked === 1);
  assert.deepEqual([t.copies(), t.unpacked(), t.failures], [[], 0, []]);
  floor = 0;
  await t.ended(await t.restored());
  await t.make(() => t.copies().length === 1);
});
