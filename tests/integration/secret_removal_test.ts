import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DatabaseSync } from "node:sqlite";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { openDatabase } from "@lib/foundations/store/database.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { JobMasks } from "@lib/spine/logs/job_masks.ts";
import { sealingKey, sealMap, unsealMap } from "@lib/foundations/secrets/seal.ts";
import { maskLog } from "@lib/spine/logs/mask_log.ts";
import { maskText } from "@lib/foundations/secrets/redactor.ts";
import { readLog } from "@lib/spine/logs/log_reader.ts";
import { JobStore } from "@lib/spine/queue/job_store.ts";
import { SecretRemoval } from "@lib/spine/queue/secret_removal.ts";
import { allSchemas, makeJob, makeOutcome, makeSpec } from "../support/job_fixtures.ts";
import { logFiles, masked, patternsOf, sourceOf, textOf } from "../support/log_files.ts";
import { RecordingLogger } from "../support/recording_logger.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

const SECRET = "hunter2-and-more";
const PATTERNS = patternsOf(SECRET);
const signal = new AbortController().signal;

function read(path: string): string {
  return Deno.readTextFileSync(path);
}

Deno.test("maskLog() leaves each log as readers saw it, byte for byte, and no secret in it", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const text = `${"x".repeat(65_530)}${SECRET}\n`.repeat(3) + SECRET.slice(0, -1);
  const cases = [
    { source: sourceOf(directory), streams: ["merged"] },
    // Cut within a secret: its beginning is masked too.
    { source: sourceOf(directory, { maxBytes: text.length - 3 }), streams: ["merged"] },
    { source: sourceOf(directory, { output: "split" }), streams: ["stdout", "stderr"] },
  ] as const;
  for (const { source, streams } of cases) {
    for (const stream of streams) Deno.writeTextFileSync(directory.logFile(stream), text);
    const readAll = (patterns = patternsOf()) =>
      textOf(
        readLog({ sources: [source], patterns: () => Promise.resolve(patterns), from: 0, signal }),
      );
    const before = await readAll(PATTERNS);
    const size = Deno.statSync(directory.logFile(streams[0])).size;
    await maskLog(source, { patterns: () => PATTERNS, signal });
    assert.equal(await readAll(), before);
    assert.equal(await readAll(PATTERNS), before);
    assert.doesNotMatch(read(directory.logFile(streams[0])), new RegExp(SECRET));
    assert.equal(Deno.statSync(directory.logFile(streams[0])).size, size);
  }
  const names = [...Deno.readDirSync(directory.path)].map(({ name }) => name).sort();
  assert.deepEqual(names, ["output.log", "stderr.log", "stdout.log"]);
});

Deno.test("maskLog() leaves a log without secrets, an empty one and a FIFO alone", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const log = directory.logFile("merged");
  const never = () => {
    throw new Error("Nothing is masked");
  };
  await maskLog(sourceOf(directory), { patterns: never, signal });
  await new Deno.Command("mkfifo", { args: ["--", log] }).output();
  await maskLog(sourceOf(directory), { patterns: never, signal });
  Deno.removeSync(log);
  Deno.writeTextFileSync(log, "nothing\n");
  const { ino } = Deno.statSync(log);
  await maskLog(sourceOf(directory), { patterns: () => PATTERNS, signal });
  assert.equal(Deno.statSync(log).ino, ino);
});

Deno.test("maskLog() does not disturb a reader in the middle of the log", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const text = `${"x".repeat(65_530)}${SECRET}\n`.repeat(5);
  Deno.writeTextFileSync(directory.logFile("merged"), text);
  const sources = [sourceOf(directory)];
  const reading = readLog({ sources, patterns: () => Promise.resolve(PATTERNS), from: 0, signal });
  let seen = "";
  for await (const chunk of reading) {
    if (seen === "") await maskLog(sourceOf(directory), { patterns: () => PATTERNS, signal });
    seen += new TextDecoder().decode(chunk);
  }
  assert.equal(seen, masked(text, PATTERNS));
});

const unmasked = (text: string) => text;

/** A store on disk whose jobs end with sealed secrets. */
function storeIn(path: string) {
  const db = openDatabase({ path: `${path}/runner.db`, schemas: allSchemas() });
  const store: JobStore = new JobStore({ db, ageingMs: 60_000, onChange: (job) => told(job) });
  let told: (job: Parameters<SecretRemoval["onChange"]>[0]) => void = () => undefined;
  const spec = makeSpec({ secretNames: ["TOKEN"] });
  return {
    db,
    store,
    tell: (listener: typeof told) => told = listener,
    insert: () => {
      const sealedSecrets = crypto.getRandomValues(new Uint8Array(300));
      return { job: store.insert({ job: makeJob({ spec }), sealedSecrets }).job, sealedSecrets };
    },
    end(job: ReturnType<typeof makeJob>, finishedAt = 1_000) {
      store.apply(job.id, { kind: "claimed", bootId: "b" });
      store.apply(job.id, { kind: "ended", attempt: 1, outcome: makeOutcome({ finishedAt }) });
    },
    [Symbol.dispose]: () => db[Symbol.dispose](),
  };
}

async function until(isDone: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; !isDone(); await pause(10)) {
    if (Date.now() > deadline) throw new Error("It did not come to pass");
  }
}

Deno.test("SecretRemoval removes the secrets of all that has ended, from the file and its log too", async () => {
  const path = await Deno.makeTempDir({ prefix: "cicd-removal-" });
  try {
    using t = storeIn(path);
    const old = Array.from({ length: 120 }, () => t.insert());
    for (const [at, { job }] of old.entries()) t.end(job, at % 3);
    const open = t.insert();
    // Some are in the log of the database only, some in the file too.
    t.db.all("PRAGMA wal_checkpoint(TRUNCATE)");
    const later = t.insert();
    t.end(later.job);
    const maskedJobs: string[] = [];
    await using removal = new SecretRemoval({
      db: t.db,
      store: t.store,
      maskKept: ({ id }) => {
        assert.ok(t.store.sealedSecrets(id), "the secrets are needed until the log is masked");
        maskedJobs.push(id);
        return Promise.resolve(unmasked);
      },
      clock: {
        now: () => 50 * systemClock.now(),
        sleep: (ms, options) => systemClock.sleep(ms / 50, options),
      },
      log: new RecordingLogger(),
    });
    t.tell((job) => removal.onChange(job));
    removal.start();
    await until(() => !removal.isBusy);
    assert.equal(maskedJobs.length, 121);
    assert.ok(t.store.sealedSecrets(open.job.id));
    t.end(open.job);
    assert.equal(removal.isBusy, true);
    await until(() => !removal.isBusy);
    assert.equal(t.store.sealedSecrets(open.job.id), undefined);
    assert.equal(t.store.require(open.job.id).state, "succeeded");
    await until(() => Deno.statSync(`${path}/runner.db-wal`).size === 0);
    const file = Buffer.from(Deno.readFileSync(`${path}/runner.db`));
    for (const { sealedSecrets } of [...old, open, later]) {
      for (const part of [sealedSecrets.subarray(0, 24), sealedSecrets.subarray(-24)]) {
        assert.equal(file.indexOf(part), -1);
      }
    }
  } finally {
    await removeTree(path);
  }
});

Deno.test("SecretRemoval keeps the secrets of a job whose log cannot be masked, says so once and goes on", async () => {
  const path = await Deno.makeTempDir({ prefix: "cicd-removal-" });
  try {
    using t = storeIn(path);
    const [bad, good] = [t.insert().job, t.insert().job];
    t.end(bad, 1);
    t.end(good, 2);
    const log = new RecordingLogger();
    let problem: CicdError | undefined = new CicdError("disk_full", "No space");
    await using removal = new SecretRemoval({
      db: t.db,
      store: t.store,
      maskKept: ({ id }) =>
        id === bad.id && problem !== undefined
          ? Promise.reject(problem)
          : Promise.resolve(unmasked),
      clock: systemClock,
      log,
    });
    t.tell((job) => removal.onChange(job));
    removal.start();
    await until(() => !removal.isBusy);
    assert.ok(t.store.sealedSecrets(bad.id));
    assert.equal(t.store.sealedSecrets(good.id), undefined);
    await assert.rejects(removal.finish(t.store.require(bad.id), signal), problem);
    problem = undefined;
    await removal.finish(t.store.require(bad.id), signal);
    assert.equal(t.store.sealedSecrets(bad.id), undefined);
    assert.equal(log.of("warning").length, 1);
  } finally {
    await removeTree(path);
  }
});

Deno.test("SecretRemoval masks the messages that an earlier release stored as they were", async () => {
  const path = await Deno.makeTempDir({ prefix: "cicd-removal-" });
  try {
    using t = storeIn(path);
    const { job } = t.insert();
    t.store.apply(job.id, { kind: "claimed", bootId: "b" });
    const outcome = makeOutcome({ state: "failed", message: `Cannot pull: ${SECRET} is wrong` });
    t.store.apply(job.id, { kind: "ended", attempt: 1, outcome });
    await using removal = new SecretRemoval({
      db: t.db,
      store: t.store,
      maskKept: () => Promise.resolve((text) => maskText(PATTERNS, text)),
      clock: systemClock,
      log: new RecordingLogger(),
    });
    await removal.finish(t.store.require(job.id), signal);
    const message = `Cannot pull: ${"*".repeat(SECRET.length)} is wrong`;
    assert.equal(t.store.require(job.id).message, message);
    assert.equal(t.store.attempts(job.id)[0]?.outcome?.message, message);
    t.db.all("PRAGMA wal_checkpoint(TRUNCATE)");
    assert.equal(Buffer.from(Deno.readFileSync(`${path}/runner.db`)).indexOf(SECRET), -1);
  } finally {
    await removeTree(path);
  }
});

Deno.test("a row of an earlier release with more secrets than are taken now is read and masked", async () => {
  const path = await Deno.makeTempDir({ prefix: "cicd-removal-" });
  try {
    using t = storeIn(path);
    const key = sealingKey(crypto.getRandomValues(new Uint8Array(32)));
    const secrets = new Map(
      Array.from({ length: 150 }, (_, at) => [`S${at}`, `${at}-${"v&<".repeat(3_000)}-${at}`]),
    );
    const job = makeJob({ spec: makeSpec({ secretNames: [...secrets.keys()] }) });
    t.store.insert({ job, sealedSecrets: sealMap(key, secrets, job.id) });
    const masks = new JobMasks(({ id }) =>
      unsealMap(key, t.store.sealedSecrets(id) ?? new Uint8Array(), id)
    );
    const row = t.store.require(job.id);
    assert.equal(row.spec.secretNames.length, 150);
    const mask = await masks.maskOf(row);
    for (const value of secrets.values()) assert.match(mask(`<${value}>`), /^<[*]{9000,}>$/);
  } finally {
    await removeTree(path);
  }
});

/** A job that prints its secret, and one that also fails once. */
const LEAKY = {
  project: "web",
  script: 'echo "token=$TOKEN"; test -e "$MARK" || { : > "$MARK"; exit 1; }',
  secrets: { TOKEN: SECRET },
};

function sealedCount(stateDir: string): number {
  using db = new DatabaseSync(`${stateDir}/runner.db`, { readOnly: true });
  return Number(
    db.prepare("SELECT count(*) AS n FROM jobs WHERE sealed_secrets IS NOT NULL").get()?.["n"],
  );
}

Deno.test("a job's secrets last for its automatic attempts and leave nothing behind at its end", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const env = { MARK: `${bench.directory}/mark` };
  const job = await bench.runJob({ ...LEAKY, env, retries: { max: 1 } });
  assert.equal(job.state, "succeeded");
  assert.equal(job.attempt, 2);
  await until(() => sealedCount(bench.stateDir) === 0);
  const logs = async () => await (await bench.ask("GET", `/v1/jobs/${job.id}/logs`)).text();
  assert.equal(await logs(), `token=${"*".repeat(SECRET.length)}\n`.repeat(2));
  await bench.kill();
  for (const number of [1, 2]) {
    const ref = { project: job.project, jobId: job.id, number };
    const { path } = attemptDirectory(bench.stateDir, ref);
    for (const { name, isFile } of Deno.readDirSync(path)) {
      assert.notEqual(name, "secrets.sealed");
      if (isFile) assert.doesNotMatch(read(`${path}/${name}`), new RegExp(SECRET));
    }
  }
  // Its logs do not depend on the key any more.
  Deno.removeSync(`${bench.stateDir}/secrets.key`);
  await bench.start();
  assert.equal(await logs(), `token=${"*".repeat(SECRET.length)}\n`.repeat(2));
});

/** A job that leaves its secret in names, in both streams and in an attempt that fails. */
const NAMING = {
  ...LEAKY,
  script: `mkdir out "out/$TOKEN" "out/d-$OTHER"
for name in "$TOKEN" "$OTHER"; do echo "$name" > "out/$name.txt"; done
echo nested > "out/$TOKEN/$OTHER"
echo "token=$TOKEN"; echo "error $OTHER" >&2
test -e "$MARK" || { : > "$MARK"; exit 1; }`,
  secrets: { TOKEN: SECRET, OTHER: SECRET.toUpperCase() },
  artifacts: { paths: ["out/**"], when: "always" },
  output: "split",
  retries: { max: 1 },
};

Deno.test("what an ended job named with its secrets stays masked without them, on disk too", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const job = await bench.runJob({ ...NAMING, env: { MARK: `${bench.directory}/mark` } });
  assert.deepEqual([job.state, job.attempt], ["succeeded", 2]);
  await until(() => sealedCount(bench.stateDir) === 0);
  const stars = "*".repeat(SECRET.length);
  const names = [`out/${stars}.txt`, `out/${stars}.txt~2`, `out/${stars}/${stars}`];
  for (const attempt of [1, 2]) {
    const { body } = await bench.json("GET", `/v1/jobs/${job.id}/artifacts?attempt=${attempt}`);
    assert.deepEqual(body.files.map(({ path }: { path: string }) => path).sort(), names);
    for (const { url, bytes } of body.files) {
      const file = await bench.ask("GET", url);
      assert.deepEqual([file.status, (await file.text()).length], [200, bytes]);
    }
    const ref = { project: job.project, jobId: job.id, number: attempt };
    const { path, artifacts, artifactList, logFile } = attemptDirectory(bench.stateDir, ref);
    assert.equal(read(logFile("stdout")), `token=${stars}\n`);
    assert.equal(read(logFile("stderr")), `error ${stars}\n`);
    assert.ok(Deno.statSync(`${artifacts}/out/${stars}.txt`).isFile);
    assert.ok(read(artifactList).includes(stars));
    const found = await new Deno.Command("find", { args: [path] }).output();
    assert.doesNotMatch(new TextDecoder().decode(found.stdout), new RegExp(SECRET, "i"));
  }
  const log = await (await bench.ask("GET", `/v1/jobs/${job.id}/logs`)).text();
  assert.equal(log.match(new RegExp(`token=[*]{${SECRET.length}}\n`, "g"))?.length, 2);
  assert.equal(log.match(new RegExp(`error [*]{${SECRET.length}}\n`, "g"))?.length, 2);
});

Deno.test("a retry needs the job's secrets again, and masks the new ones", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const job = await bench.runJob({ ...LEAKY, env: { MARK: `${bench.directory}/mark` } });
  assert.equal(job.state, "failed");
  const retry = (body?: unknown) => bench.json("POST", `/v1/jobs/${job.id}/retry`, { body });
  const refused = await retry();
  assert.equal(refused.status, 422);
  assert.match(refused.body.detail, /secrets\.TOKEN is missing: .*send it again/);
  assert.equal((await retry({ secrets: { TOKEN: SECRET, OTHER: SECRET } })).status, 422);
  assert.equal((await retry({ secrets: { TOKEN: "x" } })).status, 422);
  const following = bench.ask("GET", `/v1/jobs/${job.id}/logs`);
  await (await following).body?.cancel();
  const renewed = "a-renewed-secret";
  assert.equal((await retry({ secrets: { TOKEN: renewed } })).status, 202);
  const { body: again } = await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=60s`);
  assert.deepEqual([again.state, again.attempt], ["succeeded", 2]);
  const log = await (await bench.ask("GET", `/v1/jobs/${job.id}/logs`)).text();
  const stars = (secret: string) => `token=${"*".repeat(secret.length)}\n`;
  assert.equal(log, stars(SECRET) + stars(renewed));
  await until(() => sealedCount(bench.stateDir) === 0);
});

Deno.test("a state restored without its key keeps the history, and ends queued jobs with the reason", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const mark = `${bench.directory}/mark`;
  const ended = await bench.runJob({ ...LEAKY, env: { MARK: mark } });
  await until(() => sealedCount(bench.stateDir) === 0);
  await bench.json("POST", "/v1/projects/web/pause");
  const { body: queued } = await bench.json("POST", "/v1/jobs", {
    body: { ...LEAKY, env: { MARK: mark } },
  });
  await bench.kill();
  Deno.removeSync(`${bench.stateDir}/secrets.key`);
  await bench.start();
  const unreadable = async () => (await bench.json("GET", "/v1/status")).body.unreadable_secrets;
  assert.equal(await unreadable(), 1);
  assert.equal(
    await (await bench.ask("GET", `/v1/jobs/${ended.id}/logs`)).text(),
    `token=${"*".repeat(SECRET.length)}\n`,
  );
  await bench.json("POST", "/v1/projects/web/resume");
  const { body: job } = await bench.json("GET", `/v1/jobs/${queued.id}/wait?timeout=60s`);
  assert.deepEqual([job.state, job.reason], ["failed", "start_failed"]);
  assert.match(job.message, /secrets cannot be unsealed: .*submit it again/);
  assert.equal(await (await bench.ask("GET", `/v1/jobs/${queued.id}/logs`)).text(), "");
  // It printed nothing, so nothing has to be masked.
  await until(() => sealedCount(bench.stateDir) === 0);
  assert.equal(await unreadable(), 0);
});
