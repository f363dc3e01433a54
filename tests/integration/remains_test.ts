/**
 * What jobs leave that cannot be removed: tried by every means, noted, shown, and tried again.
 *
 * @module
 */
import assert from "node:assert/strict";
import { newJobId } from "@lib/core/ids.ts";
import { openCleaner } from "@lib/features/cleaning/cleaner.ts";
import { checkRemains } from "@lib/features/install/check_installation.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { removeJobTree } from "@lib/spine/attempts/remove_job_tree.ts";
import { Workspaces } from "@lib/spine/attempts/workspaces.ts";
import { jobPath, slotParents } from "@lib/spine/jobs/attempt_directory.ts";
import { noteRemains, readRemains } from "@lib/spine/jobs/remains.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { makeOutcome, openMemoryStore, projectName } from "../support/job_fixtures.ts";
import { RecordingLogger } from "../support/recording_logger.ts";

const DAY_MS = 86_400_000;
const { signal } = new AbortController();

async function run(...argv: [string, ...string[]]): Promise<boolean> {
  const [program, ...args] = argv;
  const command = new Deno.Command(program, { args, stdout: "null", stderr: "null" });
  return (await command.output().catch(() => ({ success: false }))).success;
}

function asOthers(): [string, ...string[]] {
  const caps = "-dac_override,-dac_read_search";
  return Deno.uid() === 0
    ? ["setpriv", `--bounding-set=${caps}`, `--inh-caps=${caps}`, "--"]
    : ["env", "--"];
}

/** A file that not even root can remove, until it is freed. */
async function stick(file: string) {
  Deno.mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
  Deno.writeTextFileSync(file, "x");
  assert(await run("chattr", "+i", file));
  const inode = Deno.lstatSync(file).ino;
  return {
    /** Frees it, also where it was moved to meanwhile. */
    async [Symbol.asyncDispose](): Promise<void> {
      const root = file.slice(0, file.indexOf("/", "/tmp/".length));
      await run("find", root, "-inum", String(inode), "-exec", "chattr", "-i", "{}", "+");
    },
  };
}

/** Only root, and not on every file system, makes a file immutable. */
const canStick = await (async () => {
  const file = Deno.makeTempFileSync();
  const can = await run("chattr", "+i", file);
  await run("chattr", "-i", file);
  Deno.removeSync(file);
  return can;
})();

function setup() {
  const stateDir = Deno.makeTempDirSync({ prefix: "remains-" });
  const clock = new FakeClock(Date.now());
  const log = new RecordingLogger();
  const memory = openMemoryStore();
  const project = projectName();
  const asked: string[] = [];
  const executor = {
    removeForeign: (path: string) => {
      asked.push(path);
      return Promise.resolve();
    },
  };
  const cleaner = openCleaner({
    store: memory.store,
    stateDir,
    runtimeDir: `${stateDir}/run`,
    removeForeign: executor.removeForeign,
    limits: () => ({ maxAgeMs: DAY_MS, maxJobs: 1_000, maxBytes: 1e12, minFreeDiskBytes: 0 }),
    sources: [],
    clock,
    log,
  });
  return {
    ...memory,
    ...{ stateDir, clock, log, asked, executor, cleaner, signal },
    project,
    /** A job that ended long ago. */
    addOld() {
      const { id } = memory.add();
      memory.claim(id);
      const outcome = makeOutcome({ finishedAt: clock.now() - 2 * DAY_MS });
      memory.store.apply(id, { kind: "ended", attempt: 1, outcome });
      return { id, directory: jobPath(stateDir, project, id) };
    },
    async remains() {
      const { items, count } = await readRemains(stateDir);
      assert.equal(items.length, count);
      return items.map(({ path }) => path);
    },
    async [Symbol.asyncDispose]() {
      memory[Symbol.dispose]();
      await removeTree(stateDir);
    },
  };
}

Deno.test("removeTree() removes a read-only directory whose name is not UTF-8", async () => {
  await using t = setup();
  const path = `${t.stateDir}/projects/web/workspaces/.gone-1`;
  Deno.mkdirSync(path, { recursive: true });
  const script =
    `cd "$1" && d=$(printf 'x\\377') && mkdir "$d" && echo 1 >"$d/f" && chmod 0 "$d" .`;
  assert(await run("sh", "-c", script, "sh", path));
  // Root may change every directory, unless it gives that up.
  const removal = `import { removeTree } from "@lib/foundations/process/remove_tree.ts";
    await removeTree(${JSON.stringify(path)});`;
  assert(await run(...asOthers(), Deno.execPath(), "eval", removal));
  assert(!existsSync(path));
});

Deno.test({
  name: "removeJobTree() notes what stays, with the first time, until it goes",
  ignore: !canStick,
  fn: async () => {
    await using t = setup();
    const path = `${t.stateDir}/projects/web/workspaces/.gone-1`;
    const since = t.clock.now();
    {
      await using _stuck = await stick(`${path}/deep/file`);
      const refused = { code: "io_failed", message: /Cannot remove .*Operation not permitted/s };
      await assert.rejects(removeJobTree(path, t), refused);
      await t.clock.tick(1_000);
      await assert.rejects(removeJobTree(path, t), refused);
      assert.deepEqual(t.asked, [path, path]);
      const { items: [noted, ...rest] } = await readRemains(t.stateDir);
      assert.deepEqual(rest, []);
      assert(noted !== undefined);
      assert.equal(noted.path, "projects/web/workspaces/.gone-1");
      assert.equal(noted.since, since);
      assert.match(
        noted.reason,
        /^rm: .*'projects\/web\/workspaces\/.gone-1.*Operation not permitted/,
      );
    }
    await removeJobTree(path, t);
    assert.deepEqual(await t.remains(), []);
    assert.deepEqual([...Deno.readDirSync(`${t.stateDir}/remains`)], []);
  },
});

Deno.test("readRemains() forgets what is gone, and forged notes", async () => {
  await using t = setup();
  Deno.mkdirSync(`${t.stateDir}/projects/web/tmp/1`, { recursive: true });
  const error = new Error("busy");
  for (const name of ["1", "2"]) {
    await noteRemains(t.stateDir, `${t.stateDir}/projects/web/tmp/${name}`, { error, now: 5 });
  }
  const forged = [
    `{"path":"../../etc","reason":"","since":1}`,
    `{"path":"/etc","reason":"","since":1}`,
    `{"path":"projects/../../etc","reason":"","since":1}`,
    "{",
    "x".repeat(40_000),
  ];
  forged.forEach((text, at) =>
    Deno.writeTextFileSync(`${t.stateDir}/remains/${String(at).repeat(64)}`, text)
  );
  assert(await run("mkfifo", `${t.stateDir}/remains/${"a".repeat(64)}`));
  assert.deepEqual(await t.remains(), ["projects/web/tmp/1"]);
});

Deno.test({
  name: "an agent tries again what it could not remove, after a while",
  ignore: !canStick,
  fn: async () => {
    await using t = setup();
    const [workspaces] = slotParents(t.stateDir, t.project);
    const path = `${workspaces}/.gone-1`;
    const host = new Workspaces({ ...t, isActive: () => false });
    {
      await using _stuck = await stick(`${path}/file`);
      await host.removeAsides();
      assert.deepEqual(await t.remains(), [`projects/${t.project}/workspaces/.gone-1`]);
    }
    // Jobs end often, and each try can take long.
    await host.removeAsides();
    assert.equal(t.log.of("warning").length, 1);
    assert(existsSync(path));
    await t.clock.tick(60_000);
    await host.removeAsides();
    assert(!existsSync(path));
    assert.deepEqual(await t.remains(), []);
  },
});

Deno.test({
  name: "the record of a job goes after its directory, and waits for what cannot be removed",
  ignore: !canStick,
  fn: async () => {
    await using t = setup();
    const { id, directory } = t.addOld();
    const outcomes = async () => {
      const { items } = await t.cleaner.clean({ dryRun: false, scope: "background" }, signal);
      return items.map(({ kind, outcome }) => `${kind} ${outcome}`);
    };
    {
      await using _stuck = await stick(`${directory}/1/home/file`);
      assert.deepEqual(await outcomes(), ["job failed"]);
      assert.deepEqual(await outcomes(), ["job failed"]);
      assert(t.store.has(id));
      assert.deepEqual(await t.remains(), [`projects/${t.project}/jobs/.gone-${id}`]);
    }
    const remove = t.store.remove.bind(t.store);
    t.store.remove = (each) => {
      assert.deepEqual([...Deno.readDirSync(`${t.stateDir}/projects/${t.project}/jobs`)], []);
      return remove(each);
    };
    assert.deepEqual(await outcomes(), ["job removed"]);
    assert.equal(t.store.has(id), false);
    assert.deepEqual(await t.remains(), []);
  },
});

Deno.test({
  name:
    "the background cleaning tries again what an agent could not remove, also with a disk to spare",
  ignore: !canStick,
  fn: async () => {
    await using t = setup();
    const path = `${t.stateDir}/projects/${t.project}/workspaces/.gone-1`;
    const clean = () => t.cleaner.clean({ dryRun: false, scope: "background" }, signal);
    {
      await using _stuck = await stick(`${path}/file`);
      await assert.rejects(removeJobTree(path, t));
      const old = new Date(t.clock.now() - DAY_MS);
      Deno.utimeSync(path, old, old);
      const { items: [item], remains } = await clean();
      assert.equal(item?.outcome, "failed");
      assert.equal(item.code, "io_failed");
      assert.match(item.detail ?? "", /Operation not permitted/);
      assert.equal(remains.count, 1);
      const check = checkRemains(await readRemains(t.stateDir), t.stateDir);
      assert.equal(check.status, "warning");
      assert.match(
        check.detail,
        /^1 thing of jobs cannot be removed: projects\/web\/workspaces\/.gone-1 \(/,
      );
      assert.match(check.fix ?? "", new RegExp(`rm -rf -- ${path}$`));
      Deno.utimeSync(path, old, old);
    }
    const { remains } = await clean();
    assert(!existsSync(path));
    assert.deepEqual(remains, { items: [], count: 0 });
    assert.equal(checkRemains(remains, t.stateDir).status, "ok");
  },
});

Deno.test({
  name: "what stayed of a job that was retried goes before the job does",
  ignore: !canStick,
  fn: async () => {
    await using t = setup();
    const { id, directory } = t.addOld();
    const clean = () => t.cleaner.clean({ dryRun: false, scope: "background" }, signal);
    {
      await using _stuck = await stick(`${directory}/1/home/file`);
      assert.equal((await clean()).items[0]?.outcome, "failed");
    }
    t.store.apply(id, { kind: "retry_requested", at: t.clock.now() });
    Deno.mkdirSync(`${directory}/2`, { recursive: true });
    assert.deepEqual((await clean()).remains.count, 0);
    assert.deepEqual([...Deno.readDirSync(`${directory}/..`)].map(({ name }) => name), [id]);
    assert(existsSync(`${directory}/2`));
  },
});

Deno.test("the directory of a job without a record goes also where its removal was interrupted", async () => {
  await using t = setup();
  const path = jobPath(t.stateDir, t.project, newJobId()).replace(/[^/]+$/, (id) => `.gone-${id}`);
  Deno.mkdirSync(`${path}/1`, { recursive: true });
  const old = new Date(t.clock.now() - 2 * DAY_MS);
  Deno.utimeSync(path, old, old);
  await t.cleaner.clean({ dryRun: false, scope: "all" }, signal);
  assert(!existsSync(path));
});
