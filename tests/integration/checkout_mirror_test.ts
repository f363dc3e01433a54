import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { StepFailure } from "@lib/spine/jobs/step.ts";
import { Git } from "@lib/features/checkout/git_command.ts";
import { placeObjects } from "@lib/features/checkout/place_objects.ts";
import { checkOutCommit, writeRepository } from "@lib/features/checkout/repository.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import { processesWith } from "../support/processes.ts";
import { setUpCheckouts } from "../support/checkout_fixture.ts";
import { type GitRepository } from "../support/git_repository.ts";
import { type GitServer, startGitServer } from "../support/git_server.ts";

/** The one mirror of a fixture. */
function mirrorOf(t: { readonly mirrors: string }): string {
  const names = [...Deno.readDirSync(t.mirrors)].map(({ name }) => name);
  const [only, ...more] = names.filter((name) => name.endsWith(".git"));
  assert.ok(only !== undefined && more.length === 0, names.join(" "));
  return `${t.mirrors}/${only}`;
}

function packsOf(gitDir: string): readonly string[] {
  return [...Deno.readDirSync(`${gitDir}/objects/pack`)].map(({ name }) => name)
    .filter((name) => name.endsWith(".pack"));
}

async function withApp(server: GitServer): Promise<{ app: GitRepository; sha: string }> {
  const app = await server.repository("app");
  return { app, sha: await app.commit({ files: { "hello.txt": "hello\n", "a/b": "b\n" } }) };
}

Deno.test("checkout of a commit that the mirror holds asks nobody", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app, sha } = await withApp(server);
  await t.checkOut({ url: app.url });
  server.requests.length = 0;
  for (const wish of [{ sha }, { sha, ref: "main" }, { sha, contained: true }]) {
    const done = await t.checkOut({ url: app.url, ...wish });
    assert.equal(await done.read("a/b"), "b\n");
    assert.equal(done.env["CICD_GIT_SHA"], sha);
  }
  assert.deepEqual(server.requests, []);
});

Deno.test("checkout of a branch that has not moved fetches no objects", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app, sha } = await withApp(server);
  await t.checkOut({ url: app.url, ref: "main" });
  assert.equal(packsOf(mirrorOf(t)).length, 1);
  const again = await t.checkOut({ url: app.url, ref: "main" });
  assert.ok(!again.said.some((line) => line.startsWith("Fetching")), again.said.join("\n"));
  assert.deepEqual(again.env, { CICD_GIT_SHA: sha, CICD_GIT_REF: "refs/heads/main" });
  const next = await app.commit({ files: { "hello.txt": "again\n" } });
  const moved = await t.checkOut({ url: `${app.url}/`, ref: "main" });
  assert.equal(await moved.git("rev-parse", "HEAD"), next);
  assert.equal(packsOf(mirrorOf(t)).length, 2);
});

Deno.test("checkout survives a branch that becomes a directory of branches, and a force push", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app } = await withApp(server);
  await app.commit({ branch: "topic", files: { n: "1" } });
  await t.checkOut({ url: app.url, ref: "topic" });
  await app.git("update-ref", "-d", "refs/heads/topic");
  await app.commit({ branch: "topic/one", files: { n: "2" } });
  assert.equal(await (await t.checkOut({ url: app.url, ref: "topic/one" })).read("n"), "2");
  await app.git("update-ref", "-d", "refs/heads/topic/one");
  await app.commit({ branch: "topic/one", files: { n: "3" } });
  assert.equal(await (await t.checkOut({ url: app.url, ref: "topic/one" })).read("n"), "3");
});

Deno.test("checkout shares packs with jobs of the account, and none with containers", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app } = await withApp(server);
  const own = await t.checkOut({ url: app.url });
  const contained = await t.checkOut({ url: app.url, contained: true });
  const mirror = mirrorOf(t);
  const [pack] = packsOf(mirror);
  const inode = async (gitDir: string) => (await Deno.stat(`${gitDir}/objects/pack/${pack}`)).ino;
  assert.equal(await inode(`${own.workspace}/.git`), await inode(mirror));
  assert.notEqual(await inode(`${contained.workspace}/.git`), await inode(mirror));
  const shared: string[] = [];
  const inodes = new Set(await inodesBelow(mirror));
  for (const ino of await inodesBelow(contained.workspace)) {
    if (inodes.has(ino)) shared.push(String(ino));
  }
  assert.deepEqual(shared, []);
  // The mirror may go while the job runs.
  await Deno.remove(t.mirrors, { recursive: true });
  assert.equal(await own.git("fsck"), "");
});

Deno.test("placeObjects() lets git pack what a container needs of a large mirror", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app } = await withApp(server);
  const sha = await app.commit({ files: { "hello.txt": "again\n" } });
  await t.checkOut({ url: app.url });
  const gitDir = `${t.root}/part/.git`;
  await writeRepository(gitDir, { format: "sha1", bare: false, originUrl: app.url });
  const own = { PATH: Deno.env.get("PATH") };
  const git = new Git({
    ...{ runCommand, own, home: t.root, timeoutMs: 30_000, clock: systemClock },
    say: (line) => assert.fail(line),
  });
  const signal = new AbortController().signal;
  await placeObjects({
    ...{ git, gitDir, sha, signal },
    mirror: mirrorOf(t),
    tip: sha,
    depth: 1,
    tags: false,
    isolated: true,
    copyMaxBytes: 0,
  });
  const call = { gitDir, workTree: `${t.root}/part`, signal };
  assert.equal((await checkOutCommit(git, sha, { ...call, ref: undefined })).sha, sha);
  assert.equal(await Deno.readTextFile(`${t.root}/part/hello.txt`), "again\n");
  assert.equal((await git.run(["rev-list", "--count", "HEAD"], call)).trim(), "1");
});

async function inodesBelow(path: string): Promise<readonly (number | null)[]> {
  const found: (number | null)[] = [];
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    found.push((await Deno.lstat(`${path}/${name}`)).ino);
    if (isDirectory) found.push(...await inodesBelow(`${path}/${name}`));
  }
  return found;
}

const DAMAGES: Readonly<Record<string, (mirror: string) => Promise<void>>> = {
  "a pack overwritten": async (mirror) => {
    const [pack] = packsOf(mirror);
    const path = `${mirror}/objects/pack/${pack}`;
    await Deno.chmod(path, 0o600);
    const { size } = await Deno.stat(path);
    await Deno.writeFile(path, new Uint8Array(size));
  },
  "a pack cut off": async (mirror) => {
    const [pack] = packsOf(mirror);
    const path = `${mirror}/objects/pack/${pack}`;
    await Deno.chmod(path, 0o600);
    await Deno.truncate(path, 20);
  },
  "a pack gone and its index kept": async (mirror) => {
    await Deno.remove(`${mirror}/objects/pack/${packsOf(mirror)[0]}`);
  },
  "the settings gone": async (mirror) => await Deno.remove(`${mirror}/config`),
  "the settings no settings": async (mirror) => {
    await Deno.writeTextFile(`${mirror}/config`, "[[[\n");
  },
  "the objects gone": async (mirror) => {
    await Deno.remove(`${mirror}/objects`, { recursive: true });
  },
  "a file in place of the repository": async (mirror) => {
    await Deno.remove(mirror, { recursive: true });
    await Deno.writeTextFile(mirror, "");
  },
};

for (const [damage, inflict] of Object.entries(DAMAGES)) {
  Deno.test(`checkout recreates a damaged mirror: ${damage}`, async () => {
    await using server = await startGitServer();
    const { app, sha } = await withApp(server);
    for (const wish of [{ ref: "main" }, { sha }]) {
      await using t = await setUpCheckouts();
      await t.checkOut({ url: app.url });
      const mirror = mirrorOf(t);
      await inflict(mirror);
      const done = await t.checkOut({ url: app.url, ...wish });
      assert.equal(await done.read("hello.txt"), "hello\n");
      assert.equal(await done.git("fsck"), "");
      server.requests.length = 0;
      await t.checkOut({ url: app.url, sha });
      assert.deepEqual(server.requests, [], "the new mirror is whole");
    }
  });
}

Deno.test("checkout clears what a git killed in its middle left in the mirror", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app } = await withApp(server);
  await t.checkOut({ url: app.url });
  await app.commit({ files: { "hello.txt": "again\n" } });
  const mirror = mirrorOf(t);
  server.behaviour = { kind: "hang_at_objects" };
  const hanging = t.checkOut({ url: app.url }).catch((error) => error);
  let gits: readonly number[] = [];
  while (gits.length === 0) {
    await server.nextRequest();
    gits = processesWith("fetch", app.url);
  }
  for (const pid of gits) Deno.kill(pid, "SIGKILL");
  const failure = await hanging;
  assert.ok(failure instanceof StepFailure && /was killed from outside/.test(failure.message));
  server.behaviour = { kind: "serve" };
  // What such a death can leave.
  for (const name of ["packed-refs.lock", "shallow.lock", "config.lock", "HEAD.lock"]) {
    await Deno.writeTextFile(`${mirror}/${name}`, "");
  }
  for await (const { name } of Deno.readDir(`${mirror}/refs/cicd/one`)) {
    await Deno.writeTextFile(`${mirror}/refs/cicd/one/${name}.lock`, "");
  }
  await Deno.writeTextFile(`${mirror}/objects/pack/tmp_pack_aBcDeF`, "half");
  const done = await t.checkOut({ url: app.url, ref: "main" });
  assert.equal(await done.read("hello.txt"), "again\n");
  assert.ok(!done.said.some((line) => line.includes("damaged")), done.said.join("\n"));
  assert.deepEqual(
    [...Deno.readDirSync(`${mirror}/objects/pack`)].filter(({ name }) => name.startsWith("tmp")),
    [],
  );
});

Deno.test("checkouts of one repository at the same time wait for each other", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app, sha } = await withApp(server);
  const all = await Promise.all(
    [1, 2, 3, 4].map((depth) => t.checkOut({ url: app.url, depth })),
  );
  for (const done of all) {
    assert.equal(await done.git("rev-parse", "HEAD"), sha);
    assert.equal(await done.git("status", "--porcelain"), "");
  }
  assert.equal(packsOf(mirrorOf(t)).length, 1, "it was fetched once");
  assert.ok(t.said.some((line) => line === `Waiting for another checkout of ${app.url}`));
});

Deno.test("checkout that waits for a mirror can be cancelled", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app } = await withApp(server);
  await t.checkOut({ url: app.url });
  const name = mirrorOf(t).split("/").at(-1)?.replace(/\.git$/, "") ?? "";
  using _held = lockDirectory({ directory: t.mirrors, program: name, remedy: "" });
  const stop = new AbortController();
  const reason = new Error("enough");
  await assert.rejects(
    t.checkOut({
      url: app.url,
      signal: stop.signal,
      onSay: (line) => line.startsWith("Waiting") && stop.abort(reason),
    }),
    reason,
  );
});

Deno.test("checkout keeps a mirror of many fetches small in packs", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app } = await withApp(server);
  for (let n = 0; n < 30; n++) {
    await app.commit({ files: { n: String(n) } });
    await t.checkOut({ url: app.url, ref: "main" });
  }
  const mirror = mirrorOf(t);
  assert.ok(packsOf(mirror).length <= 24, String(packsOf(mirror).length));
  const done = await t.checkOut({ url: app.url, depth: 0 });
  assert.equal(await done.git("rev-list", "--count", "HEAD"), "31");
});

Deno.test("checkout notes when a mirror was last used", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const { app, sha } = await withApp(server);
  await t.checkOut({ url: app.url });
  const used = `${mirrorOf(t)}/used`;
  await Deno.utime(used, 0, 0);
  await t.checkOut({ url: app.url, sha });
  assert.ok(((await Deno.stat(used)).mtime?.getTime() ?? 0) > 0);
});
