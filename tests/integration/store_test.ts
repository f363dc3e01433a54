import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { ErrorCode } from "@lib/core/error_codes.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { newJobId } from "@lib/core/ids.ts";
import { allSchemas } from "../support/job_fixtures.ts";
import { JOB_MIGRATIONS } from "@lib/spine/queue/job_schema.ts";
import { JobStore } from "@lib/spine/queue/job_store.ts";
import { type Database, openDatabase } from "@lib/foundations/store/database.ts";
import { Reserve } from "@lib/foundations/store/reserve.ts";
import { lockState } from "@lib/foundations/store/state_lock.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { makeJob, makeOutcome, makeSpec } from "../support/job_fixtures.ts";
import { mountSmallDisk } from "../support/small_disk.ts";

class Directory implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "store-" });
  readonly db = `${this.path}/runner.db`;

  async [Symbol.asyncDispose](): Promise<void> {
    await removeTree(this.path);
  }
}

function open(path: string): Database {
  return openDatabase({ path, schemas: allSchemas() });
}

function storeOn(db: Database): JobStore {
  return new JobStore({ db, ageingMs: 60_000, onChange() {} });
}

function code(wanted: ErrorCode) {
  return (error: unknown) => error instanceof CicdError && error.code === wanted;
}

Deno.test("openDatabase() keeps what was stored across reopening", async () => {
  await using t = new Directory();
  const job = makeJob();
  {
    using db = open(t.db);
    storeOn(db).insert({ job, sealedSecrets: new Uint8Array([1, 2]) });
  }
  using db = open(t.db);
  const store = storeOn(db);
  assert.equal(store.require(job.id).state, "queued");
  assert.deepEqual(store.sealedSecrets(job.id), new Uint8Array([1, 2]));
  assert.equal(store.revision, 1);
});

Deno.test("openDatabase() brings a database of an earlier release up to date", async () => {
  await using t = new Directory();
  const [first] = JOB_MIGRATIONS;
  assert(first !== undefined);
  openDatabase({ path: t.db, schemas: [{ name: "jobs", migrations: [first] }] })[Symbol.dispose]();
  using db = open(t.db);
  assert.equal(db.first("PRAGMA user_version")?.["user_version"], 4);
  storeOn(db).insert({ job: makeJob() });
});

Deno.test("openDatabase() counts the jobs of an earlier release, and the jobs it stores afterwards", async () => {
  await using t = new Directory();
  const openBefore = () =>
    openDatabase({
      path: t.db,
      schemas: allSchemas().filter(({ name }) => name !== "job_counts"),
    });
  const insert = (db: Database, id: string, revision: number) =>
    db.run(
      `INSERT INTO jobs (id, project, state, attempt, retry_base, spec, rank, not_before, usage,
         created_at, revision, concurrency_group)
       VALUES (?, 'web', 'queued', 0, 0, '{}', -?2, 0, '{}', 0, ?2, 'deploy')`,
      id,
      revision,
    );
  const first = (db: Database) =>
    storeOn(db).candidates(0, 9)[0]?.candidates.map(({ rank }) => rank);
  {
    using before = openBefore();
    insert(before, newJobId(), 1);
    insert(before, newJobId(), 2);
  }
  {
    using db = open(t.db);
    assert.equal(storeOn(db).queuedCount(), 2);
    assert.deepEqual(first(db), [-2]);
  }
  {
    using before = openBefore();
    insert(before, newJobId(), 3);
  }
  using db = open(t.db);
  assert.equal(storeOn(db).queuedCount(), 3);
  assert.deepEqual(first(db), [-3]);
});

Deno.test("openDatabase() moves large specs of an earlier release out of the rows of jobs", async () => {
  await using t = new Directory();
  const job = makeLargeJob();
  const migrations = JOB_MIGRATIONS.slice(0, 3);
  const before = openDatabase({ path: t.db, schemas: [{ name: "jobs", migrations }] });
  before.run(
    `INSERT INTO jobs (id, project, state, attempt, retry_base, spec, rank, not_before, usage,
       created_at, revision) VALUES (?, 'web', 'queued', 0, 0, ?, 0, 0, '{}', 0, 1)`,
    job.id,
    JSON.stringify(job.spec),
  );
  before[Symbol.dispose]();
  using db = open(t.db);
  const { size } = db.first("SELECT octet_length(spec) AS size FROM jobs") ?? {};
  assert(Number(size) < 1_000);
  assert.deepEqual(storeOn(db).require(job.id).spec, job.spec);
  const labels = [["a", "b"]] as const;
  assert.equal(storeOn(db).list({ labels, limit: 1 }).jobs[0]?.id, job.id);
});

Deno.test("insert() stores a large spec outside the rows that are searched, until it is removed", async () => {
  await using t = new Directory();
  using db = open(t.db);
  const store = storeOn(db);
  const job = makeLargeJob();
  store.insert({ job });
  const { size } = db.first("SELECT octet_length(spec) AS size FROM jobs") ?? {};
  assert(Number(size) < 1_000);
  assert.deepEqual(store.require(job.id).spec, job.spec);
  db.run("DELETE FROM jobs");
  assert.deepEqual(db.all("SELECT * FROM large_specs"), []);
});

function makeLargeJob() {
  return makeJob({ spec: makeSpec({ labels: { a: "b" }, env: { LONG: "x".repeat(100_000) } }) });
}

Deno.test("openDatabase() leaves nothing of a migration that fails", async () => {
  await using t = new Directory();
  const broken = ["CREATE TABLE a (x);\nCREATE TABLE a (x);\n"];
  assert.throws(
    () => openDatabase({ path: t.db, schemas: [{ name: "jobs", migrations: broken }] }),
    CicdError,
  );
  using db = openDatabase({
    path: t.db,
    schemas: [{ name: "jobs", migrations: ["CREATE TABLE a (x);\n"] }],
  });
  assert.equal(db.all("SELECT * FROM a").length, 0);
});

Deno.test("openDatabase() refuses a database of a later release and does not touch it", async () => {
  await using t = new Directory();
  {
    using db = open(t.db);
    db.run("PRAGMA user_version=99");
  }
  assert.throws(() => open(t.db), code("store_newer"));
  assert.throws(() => open(t.db), /version 99, this program knows/);
});

Deno.test("openDatabase() rejects a file that is not a database", async () => {
  await using t = new Directory();
  await Deno.writeTextFile(t.db, "this is no database".repeat(100));
  assert.throws(() => open(t.db), code("store_corrupt"));
});

Deno.test("openDatabase() says store_unusable for a path that cannot be a file", async () => {
  await using t = new Directory();
  assert.throws(() => open(t.path), code("store_unusable"));
});

Deno.test("openDatabase() leaves a database whose beginning was overwritten, and its log", async () => {
  await using t = new Directory();
  using db = open(t.db);
  storeOn(db).insert({ job: makeJob() });
  const copy = `${t.path}/copy.db`;
  const log = await Deno.readFile(`${t.db}-wal`);
  const noise = crypto.getRandomValues(new Uint8Array(8_192));
  await Deno.writeFile(copy, noise);
  await Deno.writeFile(`${copy}-wal`, log);
  assert.throws(() => open(copy), code("store_corrupt"));
  assert.deepEqual(await Deno.readFile(copy), noise);
  assert.deepEqual(await Deno.readFile(`${copy}-wal`), log);
});

Deno.test("openDatabase() refuses a database that was emptied or removed, and says what to do", async () => {
  await using t = new Directory();
  {
    using db = open(t.db);
    storeOn(db).insert({ job: makeJob() });
  }
  for (const lose of [() => Deno.truncateSync(t.db), () => Deno.removeSync(t.db)]) {
    lose();
    assert.throws(() => open(t.db), code("store_corrupt"));
    assert.throws(() => open(t.db), /missing or empty, but had \d+ changes; .*remove ".*\.mark"/);
  }
  await Deno.remove(`${t.db}.mark`);
  using db = open(t.db);
  assert.equal(storeOn(db).queuedCount(), 0);
});

Deno.test("openDatabase() refuses a database whose log was removed, and opens it once it is back", async () => {
  await using t = new Directory();
  const copy = `${t.path}/copy.db`;
  {
    // A killed runner leaves its files like this.
    using db = open(t.db);
    storeOn(db).insert({ job: makeJob() });
    db.all("PRAGMA wal_checkpoint");
    storeOn(db).insert({ job: makeJob() });
    for (const end of ["", "-wal", ".mark"]) await Deno.copyFile(t.db + end, copy + end);
  }
  await Deno.rename(`${copy}-wal`, `${copy}-kept`);
  const before = await Deno.readFile(copy);
  assert.throws(() => open(copy), code("store_corrupt"));
  assert.throws(() => open(copy), /it lacks its last 1 change: its log/);
  assert.deepEqual(await Deno.readFile(copy), before);
  await Deno.rename(`${copy}-kept`, `${copy}-wal`);
  using db = open(copy);
  assert.equal(storeOn(db).queuedCount(), 2);
});

Deno.test("openDatabase(), Reserve and lockState() wait for no FIFO in the place of their files", async () => {
  await using t = new Directory();
  const make = async (path: string) => {
    await Deno.remove(path).catch(ignore("it is not there yet"));
    assert((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
  };
  await make(`${t.db}.mark`);
  {
    using db = open(t.db);
    storeOn(db).insert({ job: makeJob() });
  }
  using db = open(t.db);
  assert.equal(storeOn(db).queuedCount(), 1);
  const reserve = new Reserve(t.path);
  assert.equal(reserve.problem(), undefined);
  await make(`${t.path}/reserve`);
  assert.match(
    new Reserve(t.path).problem() ?? "",
    /no space can be held back.*remove what is there/,
  );
  await make(`${t.path}/cicd-runner.lock`);
  assert.throws(() => lockState(t.path), /Cannot use lock file .*: it is not a file/);
});

Deno.test("openDatabase() takes a log that another program has copied into the database", async () => {
  await using t = new Directory();
  const copy = `${t.path}/copy.db`;
  {
    using db = open(t.db);
    storeOn(db).insert({ job: makeJob() });
    for (const end of ["", "-wal", ".mark"]) await Deno.copyFile(t.db + end, copy + end);
  }
  {
    using other = new DatabaseSync(copy);
    other.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
  }
  await assert.rejects(Deno.stat(`${copy}-wal`), Deno.errors.NotFound);
  using db = open(copy);
  assert.equal(storeOn(db).queuedCount(), 1);
});

Deno.test("a database whose pages were overwritten is store_corrupt, not an answer", async () => {
  await using t = new Directory();
  {
    using db = open(t.db);
    const store = storeOn(db);
    for (let count = 0; count < 200; count++) store.insert({ job: makeJob() });
  }
  const bytes = await Deno.readFile(t.db);
  bytes.fill(0xa5, 8_192);
  await Deno.writeFile(t.db, bytes);
  assert.throws(() => {
    using db = open(t.db);
    const store = storeOn(db);
    store.list({ limit: 200 });
    store.counts();
    store.candidates(0, 1_000);
  }, code("store_corrupt"));
});

Deno.test("a full disk refuses a job with disk_full and changes nothing", async () => {
  await using disk = await mountSmallDisk("1M");
  if (disk === undefined) return;
  using db = open(`${disk.path}/runner.db`);
  const store = storeOn(db);
  const text = "x".repeat(20_000);
  const spec = makeSpec({ work: { kind: "script", text, shell: "/bin/sh" } });
  const stored: string[] = [];
  const refused = newJobId();
  assert.throws(() => {
    for (let count = 0; count < 1_000; count++) {
      stored.push(store.insert({ job: makeJob({ spec }) }).job.id);
    }
    store.insert({ job: makeJob({ id: refused, spec }) });
  }, code("disk_full"));
  assert(stored.length > 0);
  assert.equal(store.queuedCount(), stored.length);
  assert.deepEqual(store.list({ limit: 500 }).jobs.map(({ id }) => id), stored.toReversed());
});

Deno.test("lockState() keeps a second daemon out and reports the pid of the first", async () => {
  await using t = new Directory();
  {
    using _held = lockState(t.path);
    const second = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `import { lockState } from "@lib/foundations/store/state_lock.ts";
         try { lockState(${
          JSON.stringify(t.path)
        }); } catch (e) { console.log(e.code, e.message); }`,
      ],
      stderr: "inherit",
    }).output();
    const said = new TextDecoder().decode(second.stdout);
    assert.match(said, /^store_locked /);
    assert(said.includes(`(pid ${Deno.pid})`));
  }
  using _again = lockState(t.path);
});

Deno.test("10,000 queued jobs are there after a restart, in their order, with those at work", async () => {
  await using t = new Directory();
  {
    using db = open(t.db);
    db.all("PRAGMA synchronous=OFF");
    const store = storeOn(db);
    for (let count = 0; count < 10_000; count++) {
      store.insert({ job: makeJob({ createdAt: count, notBefore: count }) });
    }
    const first = store.candidates(20_000, 5)[0]?.candidates ?? [];
    for (const { id } of first) store.apply(id, { kind: "claimed", bootId: "b" });
    const [done] = first;
    assert(done !== undefined);
    store.apply(done.id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
  }
  using db = open(t.db);
  const store = storeOn(db);
  assert.equal(store.queuedCount(), 9_995);
  assert.equal(store.inFlight().length, 4);
  const [project] = store.candidates(20_000, 3);
  assert.equal(project?.running, 4);
  assert.deepEqual(
    project?.candidates.map(({ id }) => store.require(id).createdAt),
    [5, 6, 7],
  );
});
