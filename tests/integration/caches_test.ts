import assert from "node:assert/strict";
import { cacheStep } from "@lib/features/caches/cache_step.ts";
import { cachesPath, listCaches } from "@lib/features/caches/cache_store.ts";
import { cacheSource } from "@lib/features/caches/cleaning.ts";
import { systemClock } from "@lib/core/clock.ts";
import type { CacheSpec } from "@lib/spine/spec/job_spec.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";
import { makeOutcome } from "../support/job_fixtures.ts";
import { openWorkspace, type Workspace } from "../support/workspace.ts";

const NEVER = new AbortController().signal;
const MIB = 1024 ** 2;
const DAY = 86_400_000;

const npm: CacheSpec = { name: "npm", paths: ["node_modules"], keyFiles: ["package-lock.json"] };

function stepOf(t: Workspace, { maxBytes = 100 * MIB, now = systemClock.now, path = "" } = {}) {
  return cacheStep({
    stateDir: t.stateDir,
    limits: () => ({ maxBytes, maxAgeMs: 30 * DAY }),
    run: runCommand,
    env: path === "" ? Deno.env.toObject() : { PATH: path },
    clock: { ...systemClock, now },
  });
}

/** A job: restores, does its work, saves. */
async function job(
  t: Workspace,
  work: (t: Workspace) => Promise<void>,
  { caches = [npm], outcome = makeOutcome(), ...limits }: {
    caches?: readonly CacheSpec[];
    outcome?: ReturnType<typeof makeOutcome>;
    maxBytes?: number;
    now?: () => number;
    path?: string;
  } = {},
) {
  const context = t.context({ caches });
  await stepOf(t, limits).before?.(context, NEVER);
  await work(t);
  return await stepOf(t, limits).after?.(context, outcome, NEVER) ?? [];
}

const read = (t: Workspace, path: string) =>
  Deno.readTextFile(`${t.directory.workspace}/${path}`).catch(() => undefined);

async function firstJob(t: Workspace, lock = "v1") {
  await t.write("package-lock.json", lock);
  return await job(t, async (own) => {
    await own.write("node_modules/a/index.js", `module of ${lock}`);
    await Deno.chmod(`${own.directory.workspace}/node_modules/a/index.js`, 0o755);
    await Deno.symlink("a/index.js", `${own.directory.workspace}/node_modules/link`);
  });
}

Deno.test("cacheStep() carries a directory to the next job with the same key files", async () => {
  await using t = await openWorkspace();
  const told = await firstJob(t);
  assert.match(
    told.join(),
    /^Saved the cache "npm" under the key \w{12}: \S+ of node_modules \(\S+ packed\) in /,
  );
  assert.match(t.said.join(), /Cache "npm": nothing saved yet; this job's key is \w{12}$/);
  const next = await t.next();
  await next.write("package-lock.json", "v1");
  await job(next, async () => {
    assert.equal(await read(next, "node_modules/a/index.js"), "module of v1");
    const { mode } = await Deno.stat(`${next.directory.workspace}/node_modules/a/index.js`);
    assert.equal((mode ?? 0) & 0o111, 0o111);
    assert.equal(
      await Deno.readLink(`${next.directory.workspace}/node_modules/link`),
      "a/index.js",
    );
  });
  assert.match(
    next.said.join(),
    /Cache "npm": restored \S+ into node_modules from the entry of this key, \w{12} \(.* packed\) in /,
  );
  assert.equal((await listCaches(t.stateDir, t.ref.project)).length, 1);
});

Deno.test("cacheStep() restores the latest entry of other key files, and saves its own", async () => {
  await using t = await openWorkspace();
  await firstJob(t);
  const next = await t.next();
  await next.write("package-lock.json", "v2");
  await job(next, async () => {
    assert.equal(await read(next, "node_modules/a/index.js"), "module of v1");
  });
  assert.match(
    next.said.join(),
    /restored \S+ into node_modules from the latest entry, \w{12}, as none has the key \w{12} /,
  );
  assert.equal((await listCaches(t.stateDir, t.ref.project)).length, 2);
});

/** Everything about the files below a directory but what a restore cannot keep. */
async function factsOf(path: string): Promise<string> {
  const format = "%P %y %m %T@ %n %b %s %l\\n";
  const find = new Deno.Command("find", { args: [path, "-printf", format] });
  const { stdout, stderr, success } = await find.output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).split("\n").toSorted().join("\n");
}

Deno.test("cacheStep() restores files exactly as they were saved", async () => {
  await using t = await openWorkspace();
  const caches = [{ name: "exact", paths: ["out/", "deep/er/one", "shut"], keyFiles: [] }];
  const make = `
    mkdir -p out/shared out/temp out/closed deep/er && cd out
    echo run >tool && chmod 755 tool && ln tool same && ln -s tool link && ln -s /nowhere dangling
    echo group >group && chmod 664 group && echo own >own && chmod 600 own
    echo set >set && chmod 6755 set && chmod 2775 shared && chmod 1777 temp
    truncate -s 64M sparse && echo end | dd of=sparse bs=1 seek=20M conv=notrunc 2>/dev/null
    touch -d '2021-02-03 04:05:06.789012345' tool group
    echo "$(printf 'a\\377b')" >"$(printf 'a\\377b')" && touch 'a
b' -- '-x'
    echo x >closed/x && chmod 444 closed/x && chmod 555 closed
    mkdir ../shut && echo x >../shut/x && chmod 555 ../shut
    echo one >../deep/er/one && chmod 640 ../deep/er/one
    touch -d '2020-01-01 00:00:00.5' closed shared .`;
  const facts = async (top: string) =>
    (await Promise.all(["out", "shut", "deep/er/one"].map((path) => factsOf(`${top}/${path}`))))
      .join();
  let saved = "";
  await job(t, async ({ directory: { workspace: cwd } }) => {
    const { success } = await new Deno.Command("sh", { args: ["-ec", make], cwd }).output();
    assert(success);
    saved = await facts(cwd);
  }, { caches });
  const next = await t.next();
  const umask = Deno.umask(0o077);
  try {
    await job(next, () => Promise.resolve(), { caches });
  } finally {
    Deno.umask(umask);
  }
  const { workspace } = next.directory;
  assert.equal(await facts(workspace), saved);
  assert.match(saved, /6755 /);
  assert.match(saved, /\.7890123450 /);
  assert.match(
    next.said.join(),
    /restored \S+ into out\/, deep\/er\/one, shut from the entry of this key/,
  );
});

Deno.test("cacheStep() says which paths an entry does not have", async () => {
  await using t = await openWorkspace();
  const caches = [{ name: "x", paths: ["a", "b"], keyFiles: [] }];
  await job(t, (own) => own.write("a/f", "1"), { caches });
  const next = await t.next();
  await job(next, () => Promise.resolve(), { caches });
  assert.match(next.said.join(), /restored \S+ into a from .*; the entry has nothing for b; in /);
  const other = await t.next();
  const paths = [{ name: "x", paths: ["c"], keyFiles: [] }];
  const told = await job(other, () => Promise.resolve(), { caches: paths });
  assert.match(other.said.join(), /: restored nothing from the latest entry, /);
  assert.match(told.join(), /was not saved: nothing is at c/);
});

Deno.test("cacheStep() saves nothing of a job that failed", async () => {
  await using t = await openWorkspace();
  await t.write("package-lock.json", "v1");
  const told = await job(t, (own) => own.write("node_modules/a", "half"), {
    outcome: makeOutcome({ state: "failed", exitCode: 1 }),
  });
  assert.deepEqual(told, []);
  assert.deepEqual(await listCaches(t.stateDir, t.ref.project), []);
});

Deno.test("cacheStep() saves under the key that the checkout had", async () => {
  await using t = await openWorkspace();
  await t.write("package-lock.json", "v1");
  await job(t, async (own) => {
    await own.write("node_modules/a", "a");
    await own.write("package-lock.json", "changed by the job");
  });
  const next = await t.next();
  await next.write("package-lock.json", "v1");
  await job(next, () => Promise.resolve());
  assert.match(next.said.join(), /: restored .* from the entry of this key, [0-9a-f]{12} /);
});

Deno.test("cacheStep() saves a cache without key files after every job", async () => {
  await using t = await openWorkspace();
  const caches = [{ name: "build", paths: ["out/"], keyFiles: [] }];
  await job(t, (own) => own.write("out/n", "1"), { caches });
  const second = await t.next();
  await job(second, (own) => own.write("out/n", "2"), { caches });
  const third = await t.next();
  await job(third, async () => assert.equal(await read(third, "out/n"), "2"), { caches });
  assert.equal((await listCaches(t.stateDir, t.ref.project)).length, 1);
});

Deno.test("cacheStep() writes through no symlink of the checkout", async () => {
  await using t = await openWorkspace();
  const deep = { name: "deep", paths: ["a/b/cache", "top"], keyFiles: [] };
  await job(t, async (own) => {
    await own.write("a/b/cache/file", "cached");
    await own.write("top/file", "cached");
  }, { caches: [deep] });
  const outside = `${t.stateDir}/outside`;
  await Deno.mkdir(`${outside}/b`, { recursive: true });
  const next = await t.next();
  await Deno.symlink(outside, `${next.directory.workspace}/a`);
  await Deno.symlink(outside, `${next.directory.workspace}/top`);
  await job(next, () => Promise.resolve(), {
    caches: [deep],
    outcome: makeOutcome({ state: "failed" }),
  });
  assert.deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["b"]);
  assert.deepEqual([...Deno.readDirSync(`${outside}/b`)], []);
  assert.match(next.said.join(), /could not be restored: .*is a link/);
});

Deno.test("cacheStep() reads through no symlink when it saves", async () => {
  await using t = await openWorkspace();
  const outside = `${t.stateDir}/outside`;
  await Deno.mkdir(outside);
  await Deno.writeTextFile(`${outside}/secret`, "top secret");
  const caches = [{ name: "x", paths: ["a/secret", "b"], keyFiles: [] }];
  for (const link of ["a", "b"]) {
    const next = await t.next();
    const told = await job(
      next,
      (own) => Deno.symlink(outside, `${own.directory.workspace}/${link}`),
      { caches, path: "/usr/bin:/bin" },
    );
    assert.match(told.join(), new RegExp(`"x" was not saved: "${link}" is a link; use the path`));
  }
  assert.deepEqual(await listCaches(t.stateDir, t.ref.project), []);
});

Deno.test("cacheStep() leaves what the checkout brought as it is", async () => {
  await using t = await openWorkspace();
  const caches = [{ name: "x", paths: ["dir"], keyFiles: [] }];
  await job(t, async (own) => {
    await own.write("dir/tracked", "old");
    await own.write("dir/sub/made", "made");
    await own.write("dir/other/made", "made");
  }, { caches });
  const next = await t.next();
  await next.write("dir/tracked", "new");
  await next.write("dir/sub/tracked", "new");
  await job(next, () => Promise.resolve(), { caches });
  assert.equal(await read(next, "dir/tracked"), "new");
  assert.equal(await read(next, "dir/sub/tracked"), "new");
  assert.equal(await read(next, "dir/sub/made"), "made");
  assert.equal(await read(next, "dir/other/made"), "made");
});

Deno.test("cacheStep() ends in the same state when it is interrupted and begins again", async () => {
  await using t = await openWorkspace();
  await firstJob(t);
  const next = await t.next();
  await next.write("package-lock.json", "v1");
  const context = next.context({ caches: [npm] });
  await stepOf(next).before?.(context, NEVER);
  await Deno.remove(`${next.directory.workspace}/node_modules/link`);
  await Deno.mkdir(`${next.directory.path}/cache.tmp/files`, { recursive: true });
  await stepOf(next).before?.(context, NEVER);
  assert.equal(await read(next, "node_modules/a/index.js"), "module of v1");
  assert.equal(await Deno.readLink(`${next.directory.workspace}/node_modules/link`), "a/index.js");
  await assert.rejects(Deno.stat(`${next.directory.path}/cache.tmp`), Deno.errors.NotFound);
});

Deno.test("cacheStep() goes on without a cache that is damaged", async () => {
  await using t = await openWorkspace();
  await firstJob(t);
  const [entry] = await listCaches(t.stateDir, t.ref.project);
  await Deno.writeTextFile(entry?.path ?? "", "this is no archive");
  const next = await t.next();
  await firstJob(next);
  assert.match(next.said.join(), /could not be restored: tar ended with code 2/);
  const third = await t.next();
  await third.write("package-lock.json", "v1");
  await job(third, () => Promise.resolve());
  assert.match(third.said.join(), /: restored .* from the entry of this key, [0-9a-f]{12} /);
});

Deno.test("cacheStep() does not save what is larger than all caches may be", async () => {
  await using t = await openWorkspace();
  await t.write("package-lock.json", "v1");
  const told = await job(
    t,
    async (own) => {
      const noise = new Uint8Array(3 * MIB).fill(1);
      await own.write("node_modules/large", "");
      await Deno.writeFile(`${own.directory.workspace}/node_modules/large`, noise);
    },
    { maxBytes: MIB },
  );
  assert.match(told.join(), /The cache "npm" was not saved: it has 3M, and .* at most 1M/);
  assert.deepEqual(await listCaches(t.stateDir, t.ref.project), []);
  assert.deepEqual(
    [...Deno.readDirSync(t.directory.path)].filter(({ name }) => /tmp/.test(name)),
    [],
  );
});

Deno.test("cacheStep() makes room by what was not used for longest", async () => {
  await using t = await openWorkspace();
  let now = 1_000_000_000;
  for (const index of [1, 2, 3]) {
    const next = await t.next();
    await next.write("package-lock.json", `v${index}`);
    await job(next, async (own) => {
      await own.write("node_modules/a", "");
      const noise = crypto.getRandomValues(new Uint8Array(60_000));
      await Deno.writeFile(`${own.directory.workspace}/node_modules/a`, noise);
    }, {
      maxBytes: 150_000,
      now: () => now += 60_000,
    });
  }
  const entries = await listCaches(t.stateDir, t.ref.project);
  assert.equal(entries.length, 2);
  assert(entries.reduce((sum, { bytes }) => sum + bytes, 0) <= 150_000);
  const last = await t.next();
  await last.write("package-lock.json", "v3");
  await job(last, () => Promise.resolve(), { now: () => now });
  assert.match(last.said.join(), /: restored .* from the entry of this key, [0-9a-f]{12} /);
});

Deno.test("cacheStep() works without zstd, and two jobs at once", async () => {
  await using t = await openWorkspace();
  const tools = `${t.stateDir}/tools`;
  await Deno.mkdir(tools);
  await Deno.symlink("/usr/bin/tar", `${tools}/tar`);
  const one = await t.next();
  const two = await t.next();
  for (const each of [one, two]) await each.write("package-lock.json", "v1");
  await Promise.all(
    [one, two].map((each) =>
      job(each, (own) => own.write("node_modules/a", "same"), { path: tools })
    ),
  );
  const entries = await listCaches(t.stateDir, t.ref.project);
  assert.equal(entries.length, 1);
  assert.match(entries[0]?.path ?? "", /\.tar$/);
  const next = await t.next();
  await next.write("package-lock.json", "v1");
  await job(next, async () => assert.equal(await read(next, "node_modules/a"), "same"));
  const drafts = [...Deno.readDirSync(cachesPath(t.stateDir, t.ref.project))]
    .filter(({ name }) => name.startsWith("."));
  assert.deepEqual(drafts, []);
});

Deno.test("cacheSource() finds the caches of all projects and removes them", async () => {
  await using t = await openWorkspace();
  await firstJob(t);
  const limits = () => ({ maxAgeMs: 1, maxBytes: 1 });
  const source = cacheSource({ stateDir: t.stateDir, limits });
  const { things: [thing, ...rest] } = await source.find(NEVER);
  assert.equal(rest.length, 0);
  assert(thing !== undefined);
  assert.equal(thing.name, "web/npm");
  assert.equal(thing.project, "web");
  assert(thing.bytes > 0);
  assert.equal((await source.remove(thing, NEVER)).kind, "removed");
  assert.equal((await source.remove(thing, NEVER)).kind, "removed");
  assert.deepEqual((await source.find(NEVER)).things, []);
});
