import assert from "node:assert/strict";
import { existsSync } from "@lib/foundations/files/records.ts";
import { mirrorSource } from "@lib/features/checkout/cleaning.ts";
import {
  leftoverSource,
  temporarySource,
  workspaceSource,
} from "@lib/features/cleaning/own_sources.ts";
import { containerSource, imageSource } from "@lib/features/containers/cleaning.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { CleanSource, StoredThing } from "@lib/api/clean_source.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { treeBytes } from "@lib/foundations/store/disk_space.ts";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import { FakeCleaningEngine, makeContainerSummary } from "../support/fake_cleaning_engine.ts";
import { makeJob, projectName } from "../support/job_fixtures.ts";
import { RunnerBench } from "../support/runner_process.ts";

const never = new AbortController().signal;
const DAY_MS = 86_400_000;

function setup() {
  const stateDir = Deno.makeTempDirSync({ prefix: "housekeeping-" });
  const now = () => Date.now();
  return {
    stateDir,
    now,
    write(path: string, options: { readonly text?: string; readonly ageMs?: number } = {}) {
      const { text = "x", ageMs = 0 } = options;
      const full = `${stateDir}/${path}`;
      Deno.mkdirSync(full.slice(0, full.lastIndexOf("/")), { recursive: true });
      Deno.writeTextFileSync(full, text);
      const at = new Date(now() - ageMs);
      Deno.utimeSync(full, at, at);
      return full;
    },
    [Symbol.dispose]: () => Deno.removeSync(stateDir, { recursive: true }),
  };
}

async function findAll(source: CleanSource): Promise<readonly StoredThing[]> {
  return (await source.find(never)).things;
}

async function findOne(source: CleanSource): Promise<StoredThing> {
  const [thing, ...rest] = await findAll(source);
  assert(thing !== undefined);
  assert.deepEqual(rest, []);
  return thing;
}

const limits = () => ({ maxAgeMs: DAY_MS, maxBytes: 1e9 });

Deno.test("treeBytes() counts what is in a directory and follows no symlink out of it", async () => {
  using t = setup();
  t.write("outside/large", { text: "x".repeat(1_000_000) });
  t.write("inside/deep/file", { text: "x".repeat(10_000) });
  Deno.symlinkSync("../outside", `${t.stateDir}/inside/link`);
  const bytes = await treeBytes(`${t.stateDir}/inside`, never);
  assert(bytes >= 10_000 && bytes < 500_000, String(bytes));
  assert.equal(await treeBytes(`${t.stateDir}/nothing`, never), 0);
});

Deno.test("treeBytes() counts a file by its share of its names", async () => {
  using t = setup();
  const pack = t.write("mirror/pack", { text: "x".repeat(1_000_000) });
  Deno.mkdirSync(`${t.stateDir}/work`);
  Deno.linkSync(pack, `${t.stateDir}/work/pack`);
  const [mirror, work] = await Promise.all(
    ["mirror", "work"].map((name) => treeBytes(`${t.stateDir}/${name}`, never)),
  );
  assert.equal(mirror, work);
  assert(mirror !== undefined && mirror >= 500_000 && mirror < 600_000, String(mirror));
});

Deno.test("mirrorSource() takes the last use from the mark, and removes under the lock", async () => {
  using t = setup();
  const mark = t.write("projects/web/mirrors/abc.git/used", { ageMs: 5 * DAY_MS });
  const mirror = mark.slice(0, -"/used".length);
  const { stateDir } = t;
  const source = mirrorSource({ stateDir, busyProjects: () => new Set(), limits });
  const thing = await findOne(source);
  assert(Math.abs(t.now() - thing.lastUsedAt - 5 * DAY_MS) < 60_000);
  {
    const directory = `${stateDir}/projects/web/mirrors`;
    using _ = lockDirectory({ directory, program: "abc", remedy: "wait" });
    assert.equal((await source.remove(thing, never)).kind, "kept");
    assert(existsSync(mirror));
  }
  assert.equal((await source.remove(thing, never)).kind, "removed");
  assert(!existsSync(mirror));
});

Deno.test("mirrorSource() keeps the mirrors of a project at work, and one used since it looked", async () => {
  using t = setup();
  const mark = t.write("projects/web/mirrors/abc.git/used", { ageMs: 5 * DAY_MS });
  const busy = new Set<string>();
  const source = mirrorSource({ stateDir: t.stateDir, busyProjects: () => busy, limits });
  const thing = await findOne(source);
  busy.add("web");
  assert.equal((await findOne(source)).inUse, true);
  assert.equal((await source.remove(thing, never)).kind, "kept");
  busy.clear();
  Deno.utimeSync(mark, new Date(), new Date());
  assert.equal((await source.remove(thing, never)).kind, "kept");
  assert(existsSync(mark));
});

Deno.test("workspaceSource() removes what an attempt left that is over, and nothing of one at work", async () => {
  using t = setup();
  const jobs = new Map<string, Job>();
  const left = (job: Job, number: number) => {
    jobs.set(job.id, job);
    const ref = { project: projectName(), jobId: job.id, number };
    const { workspace } = attemptDirectory(t.stateDir, ref);
    Deno.mkdirSync(workspace, { recursive: true });
    Deno.writeTextFileSync(`${workspace}/file`, "x");
    return workspace;
  };
  const finishedAt = t.now() - DAY_MS;
  const over = left(makeJob({ state: "failed", attempt: 1, finishedAt }), 1);
  const retried = makeJob({ state: "running", attempt: 2, startedAt: finishedAt });
  const first = left(retried, 1);
  const second = left(retried, 2);
  const justNow = left(makeJob({ state: "failed", attempt: 1, finishedAt: t.now() }), 1);
  const source = workspaceSource({ ...t, removeTree, read: (id) => jobs.get(id) });
  for (const thing of await findAll(source)) await source.remove(thing, never);
  assert.deepEqual([over, first, second, justNow].map(existsSync), [false, false, true, true]);
});

Deno.test("leftoverSource() removes workspaces that no attempt holds, while no agent runs", async () => {
  using t = setup();
  const project = projectName();
  const leave = (name: string, ageMs = DAY_MS) => {
    const key = t.write(`projects/${project}/${name}/file`).replace(/\/file$/, "");
    Deno.utimeSync(key, new Date(t.now() - ageMs), new Date(t.now() - ageMs));
    return key;
  };
  const job = makeJob({ state: "running", attempt: 1 });
  const { attemptFile } = attemptDirectory(t.stateDir, { project, jobId: job.id, number: 1 });
  t.write(attemptFile.slice(t.stateDir.length + 1));
  Deno.writeTextFileSync(attemptFile, JSON.stringify({ ...job.spec, slot: 2 }));
  const aside = leave("tmp/.gone-1");
  const [left, held, late] = [
    leave("workspaces/1"),
    leave("workspaces/2"),
    leave("workspaces/3", 0),
  ];
  const read = (id: string) => id === job.id ? job : undefined;
  const source = leftoverSource({ ...t, removeTree, read });
  const directory = `${t.stateDir}/projects/${project}`;
  const found = await findAll(source);
  {
    using _agent = lockDirectory({ directory, program: "cicd-agent", remedy: "" });
    for (const thing of found) await source.remove(thing, never);
  }
  assert.deepEqual([left, held, late, aside].map(existsSync), [true, true, true, false]);
  for (const thing of found) await source.remove(thing, never);
  assert.deepEqual([left, held, late].map(existsSync), [false, true, true]);
  assert.deepEqual([...Deno.readDirSync(`${directory}/workspaces`)].length, 2);
});

Deno.test("temporarySource() removes drafts of yesterday, not those of now, and nothing else", async () => {
  using t = setup();
  const old = t.write("secrets.key.0a1b.tmp", { ageMs: 2 * DAY_MS });
  const young = t.write("secrets.key.2c3d.tmp");
  const key = t.write("secrets.key", { ageMs: 2 * DAY_MS });
  const draft = t.write("run/secrets/.draft-1", { ageMs: 2 * DAY_MS });
  const runtimeDir = `${t.stateDir}/run`;
  const source = temporarySource({ ...t, removeTree, runtimeDir });
  for (const thing of await findAll(source)) await source.remove(thing, never);
  assert.deepEqual([old, young, key, draft].map(existsSync), [false, true, true, false]);
});

function setupImages() {
  const base = setup();
  const engine = new FakeCleaningEngine();
  const wanted = new Set<string>();
  const { stateDir, now } = base;
  const source = imageSource(engine, { stateDir, wantedImages: () => wanted, now });
  const add = (
    digit: string,
    references: readonly string[],
    record?: { readonly reference: string; readonly pulled: boolean },
  ) => {
    const id = `sha256:${digit.repeat(64)}`;
    engine.held.images.set(id, {
      id,
      tags: [...references],
      bytes: 1_000,
    });
    if (record !== undefined) {
      const text = JSON.stringify({ ...record, project: "web" });
      base.write(`images/${id.replace(":", "-")}`, { text, ageMs: DAY_MS });
    }
    return id;
  };
  return { ...base, engine, wanted, source, add };
}

Deno.test("imageSource() finds what jobs pulled, and never what was there before", async () => {
  using t = setupImages();
  const ours = t.add("a", ["example.org/app:1"], { reference: "example.org/app:1", pulled: true });
  t.add("b", ["debian:12"], { reference: "debian:12", pulled: false });
  t.add("c", ["postgres:16"]);
  const removal = await findOne(t.source);
  assert.equal(removal.key, ours);
  await t.source.remove(removal, never);
  assert.equal(t.engine.held.images.has(ours), false);
  assert.equal(t.engine.held.images.size, 2);
  assert.deepEqual(await findAll(t.source), []);
});

Deno.test("imageSource() leaves an image that someone gave another name", async () => {
  using t = setupImages();
  t.add("a", ["example.org/app:1", "mine:kept"], { reference: "example.org/app:1", pulled: true });
  assert.deepEqual(await findAll(t.source), []);
});

Deno.test("imageSource() removes an image whose name went to a newer one", async () => {
  using t = setupImages();
  const old = t.add("a", [], { reference: "debian", pulled: true });
  await t.source.remove(await findOne(t.source), never);
  assert.equal(t.engine.held.images.has(old), false);
});

Deno.test("imageSource() keeps what a container or a job under way needs", async () => {
  using t = setupImages();
  const id = t.add("a", ["docker.io/library/debian:latest"], { reference: "debian", pulled: true });
  const removal = await findOne(t.source);
  assert.equal(removal.inUse, false);
  t.wanted.add("debian");
  assert.equal((await findOne(t.source)).inUse, true);
  assert.equal((await t.source.remove(removal, never)).kind, "kept");
  t.wanted.clear();
  t.engine.held.containers.set("c", makeContainerSummary({ imageId: id }));
  assert.equal((await findOne(t.source)).inUse, true);
  assert.equal((await t.source.remove(removal, never)).kind, "kept");
  assert(t.engine.held.images.has(id));
});

Deno.test("containerSource() opens no engine where no job has used one, else one for each cleaning", async () => {
  using t = setup();
  const engine = new FakeCleaningEngine();
  const opened: string[] = [];
  const source = containerSource({
    stateDir: t.stateDir,
    openEngine() {
      opened.push("opened");
      return Promise.resolve(engine);
    },
    read: () => undefined,
    wantedImages: () => new Set(),
    imageLimits: limits,
    now: t.now,
  });
  engine.held.networks.set("n", { id: "n", name: "cicd-n", createdAt: 0 });
  assert.deepEqual(await findAll(source), []);
  assert.deepEqual(opened, []);
  Deno.mkdirSync(`${t.stateDir}/images`);
  const [network] = await findAll(source);
  await findAll(source);
  assert.deepEqual(opened, ["opened"]);
  assert(network !== undefined);
  assert.equal((await source.remove(network, never)).kind, "removed");
  source.close?.();
  assert.deepEqual(await findAll(source), []);
  assert.deepEqual(opened, ["opened", "opened"]);
});

/** Runs the command line on a runner. */
async function cli(bench: RunnerBench, ...args: readonly string[]) {
  const main = new URL("../../cmd/runner/main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", main, ...args, `--socket=${bench.socket}`],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("cicd-runner clean removes what is left behind or old, after a dry run that does not", async () => {
  await using bench = new RunnerBench();
  const longAgo = new Date(0);
  const mirror = `${bench.stateDir}/projects/web/mirrors/abc.git`;
  Deno.mkdirSync(mirror, { recursive: true });
  Deno.writeTextFileSync(`${mirror}/used`, "");
  Deno.utimeSync(`${mirror}/used`, longAgo, longAgo);
  const cache = `${bench.stateDir}/projects/web/caches/npm/${"a".repeat(64)}.tar`;
  Deno.mkdirSync(cache.slice(0, cache.lastIndexOf("/")), { recursive: true });
  Deno.writeTextFileSync(cache, "");
  Deno.utimeSync(cache, longAgo, longAgo);
  const draft = `${bench.stateDir}/secrets.key.0a.tmp`;
  Deno.writeTextFileSync(draft, "x");
  Deno.utimeSync(draft, longAgo, longAgo);
  await bench.start();
  const dry = await cli(bench, "clean", "--dry-run");
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /^temporary +1 .* orphaned$/m);
  assert.match(dry.stdout, /^mirror +1 .* not used for long$/m);
  assert.match(dry.stdout, /^cache +1 .* not used for long$/m);
  assert.match(dry.stdout, /Would remove 3 things of .*; nothing was changed/);
  assert.deepEqual([mirror, cache, draft].map(existsSync), [true, true, true]);
  const real = await cli(bench, "clean", "--json");
  assert.equal(real.code, 0, real.stderr);
  const { items, dry_run } = JSON.parse(real.stdout);
  assert.equal(dry_run, false);
  assert.deepEqual(
    items.map(({ kind, outcome }: Record<string, unknown>) => `${kind} ${outcome}`),
    ["temporary removed", "cache removed", "mirror removed"],
  );
  assert.deepEqual([mirror, cache, draft].map(existsSync), [false, false, false]);
  assert.match((await cli(bench, "clean")).stdout, /^Nothing to remove; .* are free\n$/);
});

Deno.test("cicd-runner clean says that it left images alone where no engine answers", async () => {
  await using bench = new RunnerBench({
    config: "containers:\n  host: unix:///nonexistent/engine.sock\n",
  });
  Deno.mkdirSync(`${bench.stateDir}/images`, { recursive: true });
  await bench.start();
  const { code, stderr } = await cli(bench, "clean");
  assert.equal(code, 0);
  assert.match(stderr, /Skipped containers and images: Cannot .*engine/);
});

Deno.test("cicd-runner clean keeps a mirror that a checkout has locked", async () => {
  await using bench = new RunnerBench();
  const mirrors = `${bench.stateDir}/projects/web/mirrors`;
  Deno.mkdirSync(`${mirrors}/abc.git`, { recursive: true });
  Deno.utimeSync(`${mirrors}/abc.git`, new Date(0), new Date(0));
  using _ = lockDirectory({ directory: mirrors, program: "abc", remedy: "wait" });
  await bench.start();
  const { items } = JSON.parse((await cli(bench, "clean", "--json")).stdout);
  assert.deepEqual(
    items.map(({ outcome, detail }: Record<string, unknown>) => [outcome, detail]),
    [["kept", "a checkout is using it"]],
  );
  assert(existsSync(`${mirrors}/abc.git`));
});
