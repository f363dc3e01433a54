import assert from "node:assert/strict";
import { StepFailure } from "@lib/spine/jobs/step.ts";
import { setUpCheckouts } from "../support/checkout_fixture.ts";
import { startGitServer } from "../support/git_server.ts";

/** Asserts that a checkout fails for the job's owner, with a sentence that says `words`. */
async function fails(checkout: Promise<unknown>, ...words: readonly RegExp[]): Promise<string> {
  const error = await checkout.then(() => assert.fail("It was checked out"), (thrown) => thrown);
  assert.ok(error instanceof StepFailure, String(error));
  assert.equal(error.reason, "checkout_failed");
  for (const word of words) assert.match(error.message, word);
  assert.doesNotMatch(error.message, /[\n\r]/);
  return error.message;
}

for (const mirrors of [true, false]) {
  const how = mirrors ? "through a mirror" : "without a mirror";

  Deno.test(`checkout ${how} gives the default branch on no branch, with origin set`, async () => {
    await using server = await startGitServer();
    await using t = await setUpCheckouts({ mirrors });
    const app = await server.repository("app");
    await app.commit({ files: { "old.txt": "old" } });
    const sha = await app.commit({
      message: "Say hello\n\nAt length.",
      files: {
        "hello.txt": "hello\n",
        "bin/run": { kind: "executable", text: "#!/bin/sh\n" },
        "link": { kind: "symlink", target: "hello.txt" },
      },
    });
    const done = await t.checkOut({ url: app.url });
    assert.equal(await done.read("hello.txt"), "hello\n");
    assert.equal(await done.read("link"), "hello\n");
    assert.equal(((await Deno.stat(`${done.workspace}/bin/run`)).mode ?? 0) & 0o111, 0o111);
    assert.equal(await done.git("rev-parse", "HEAD"), sha);
    assert.deepEqual(done.commits, [sha]);
    assert.equal(await done.git("branch", "--show-current"), "");
    assert.equal(await done.git("remote", "get-url", "origin"), app.url);
    assert.equal(await done.git("rev-parse", "origin/main"), sha);
    assert.equal(await done.git("status", "--porcelain"), "");
    assert.equal(await done.git("rev-list", "--count", "HEAD"), "1");
    assert.equal(await done.git("fsck", "--no-dangling"), "");
    assert.match(
      done.said.at(-1) ?? "",
      new RegExp(`^Checked out ${sha} \\(refs/heads/main\\) in `),
    );
    assert.match(done.said.at(-1) ?? "", /: Say hello$/);
    assert.deepEqual([...Deno.readDirSync(done.attemptPath)].map(({ name }) => name), ["work"]);
  });

  Deno.test(`checkout ${how} takes a branch, a tag, a full ref and a commit`, async () => {
    await using server = await startGitServer();
    await using t = await setUpCheckouts({ mirrors });
    const app = await server.repository("app");
    const first = await app.commit({ files: { "n": "1" } });
    await app.tag("v1", first, "The first");
    const second = await app.commit({ files: { "n": "2" } });
    const side = await app.commit({ branch: "feature/side", files: { "n": "3" } });
    const hidden = await app.commit({ branch: "hidden", files: { "n": "4" } });
    await app.git("update-ref", "refs/pull/7/head", hidden);
    await app.git("update-ref", "-d", "refs/heads/hidden");
    const cases = [
      [{ ref: "main" }, second],
      [{ ref: "v1" }, first],
      [{ ref: "feature/side" }, side],
      [{ ref: "refs/heads/feature/side" }, side],
      [{ ref: "refs/tags/v1" }, first],
      [{ ref: "refs/pull/7/head" }, hidden],
      [{ sha: first }, first],
      [{ sha: first, ref: "main" }, first],
      [{ sha: first, ref: "branch/gone" }, first],
      [{ ref: "HEAD" }, second],
    ] as const;
    for (const [wish, sha] of cases) {
      const done = await t.checkOut({ url: app.url, ...wish });
      assert.equal(await done.git("rev-parse", "HEAD"), sha, JSON.stringify(wish));
    }
    const tagged = await t.checkOut({ url: app.url, ref: "v1" });
    assert.equal(await tagged.git("describe", "--exact-match"), "v1");
  });

  Deno.test(`checkout ${how} brings tags with full history, when asked, and the one of ref`, async () => {
    await using server = await startGitServer();
    await using t = await setUpCheckouts({ mirrors });
    const app = await server.repository("app");
    const first = await app.commit({ files: { "n": "1" } });
    await app.tag("v1", first, "The first");
    await app.tag("plain", first);
    const second = await app.commit({ files: { "n": "2" } });
    const cases = [
      [{ depth: 0 }, "plain v1", "v1-1-g"],
      [{ depth: 0, sha: second }, "plain v1", "v1-1-g"],
      [{ depth: 0, contained: true }, "plain v1", "v1-1-g"],
      [{ depth: 0, tags: false }, "", undefined],
      [{}, "", undefined],
      [{ tags: true }, "plain v1", undefined],
      [{ tags: true, contained: true, sha: second }, "plain v1", undefined],
      [{ tags: true, depth: 2 }, "plain v1", "v1-1-g"],
      [{ ref: "v1" }, "v1", "v1"],
      [{ ref: "v1", sha: first }, "v1", "v1"],
      [{ ref: "refs/tags/v1", sha: first, contained: true }, "v1", "v1"],
    ] as const;
    for (const [wish, tags, described] of cases) {
      const done = await t.checkOut({ url: app.url, ...wish });
      const what = JSON.stringify(wish);
      assert.equal((await done.git("tag", "--list")).replaceAll("\n", " "), tags, what);
      assert.equal(await done.git("fsck", "--no-dangling"), "", what);
      assert.equal(await done.git("status", "--porcelain"), "");
      if (described !== undefined) assert.ok((await done.git("describe")).startsWith(described));
    }
    // A tag that moved or is gone.
    await app.git("tag", "--force", "plain", second);
    await app.git("tag", "--delete", "v1");
    const moved = await t.checkOut({ url: app.url, depth: 0 });
    assert.equal(await moved.git("describe", "--tags"), "plain");
    assert.equal(await moved.git("tag", "--list"), "plain");
  });

  Deno.test(`checkout ${how} names the ref in full, and only if it holds the commit`, async () => {
    await using server = await startGitServer();
    const app = await server.repository("app");
    const first = await app.commit({ files: { "n": "1" } });
    await app.tag("v1", first, "The first");
    const second = await app.commit({ files: { "n": "2" } });
    const side = await app.commit({ branch: "side", files: { "n": "3" } });
    const older = mirrors ? "refs/heads/main" : undefined;
    const cases = [
      [{}, "refs/heads/main"],
      [{ ref: "HEAD" }, "refs/heads/main"],
      [{ ref: "main" }, "refs/heads/main"],
      [{ ref: "v1" }, "refs/tags/v1"],
      [{ ref: "v1", sha: first }, "refs/tags/v1"],
      [{ ref: "refs/tags/v1", sha: first }, "refs/tags/v1"],
      [{ ref: "main", sha: second }, "refs/heads/main"],
      [{ ref: "main", sha: first }, older],
      [{ ref: "v1", sha: second }, undefined],
      [{ ref: "main", sha: side }, undefined],
      [{ ref: "gone", sha: first }, undefined],
      [{ sha: first }, undefined],
    ] as const;
    await using warm = await setUpCheckouts({ mirrors });
    for (const [wish, ref] of cases) {
      await using cold = await setUpCheckouts({ mirrors });
      for (const t of [cold, warm]) {
        const done = await t.checkOut({ url: app.url, ...wish });
        assert.equal(done.env["CICD_GIT_REF"], ref, JSON.stringify(wish));
      }
    }
  });

  Deno.test(`checkout ${how} gives as much history as was asked for`, async () => {
    await using server = await startGitServer();
    await using t = await setUpCheckouts({ mirrors });
    const app = await server.repository("app");
    for (let n = 0; n < 7; n++) await app.commit({ files: { n: String(n) } });
    for (const [depth, count] of [[1, "1"], [3, "3"], [7, "7"], [20, "7"], [0, "7"]] as const) {
      for (const contained of [false, true]) {
        const done = await t.checkOut({ url: app.url, depth, contained });
        assert.equal(await done.git("rev-list", "--count", "HEAD"), count, `depth ${depth}`);
        assert.equal(await done.git("fsck", "--no-dangling"), "");
      }
    }
  });

  Deno.test(`checkout ${how} goes into a directory below the workspace`, async () => {
    await using server = await startGitServer();
    await using t = await setUpCheckouts({ mirrors });
    const app = await server.repository("app");
    await app.commit({ files: { "hello.txt": "hello" } });
    const done = await t.checkOut({ url: app.url, path: "src/app" });
    assert.equal(await Deno.readTextFile(`${done.workspace}/src/app/hello.txt`), "hello");
  });

  Deno.test(`checkout ${how} starts over after a crash`, async () => {
    await using server = await startGitServer();
    await using t = await setUpCheckouts({ mirrors });
    const app = await server.repository("app");
    await app.commit({ files: { "hello.txt": "hello" } });
    const attempt = t.newAttempt();
    await t.checkOut({ url: app.url, attempt });
    const again = await t.checkOut({
      url: app.url,
      attempt,
      async onWorkspace(path) {
        await Deno.mkdir(`${path}/half/written`, { recursive: true });
        await Deno.chmod(`${path}/half`, 0o500);
        await Deno.writeTextFile(`${path}/.git/index.lock`, "");
        await Deno.remove(`${path}/hello.txt`);
      },
    });
    assert.equal(await again.git("status", "--porcelain"), "");
    assert.deepEqual(
      [...Deno.readDirSync(again.workspace)].map(({ name }) => name).sort(),
      [".git", "hello.txt"],
    );
  });

  Deno.test(`checkout ${how} opens a private repository with a token`, async () => {
    await using server = await startGitServer({ token: "sesame-open-1234" });
    await using t = await setUpCheckouts({ mirrors });
    const app = await server.repository("app");
    await app.commit({ files: { "hello.txt": "hello" } });
    const done = await t.checkOut({ url: app.url, token: "sesame-open-1234\n" });
    assert.equal(await done.read("hello.txt"), "hello");
    const sent = server.requests.map(({ authorization }) => authorization).find(Boolean);
    assert.equal(atob(sent?.slice("Basic ".length) ?? ""), "x-access-token:sesame-open-1234");
    await t.checkOut({ url: app.url, token: "robot:sesame-open-1234", ref: "main" });
    const last = server.requests.at(-1)?.authorization ?? "";
    assert.equal(atob(last.slice("Basic ".length)), "robot:sesame-open-1234");
    assert.deepEqual([...Deno.readDirSync(`${t.runtimeDir}/checkout`)], []);
  });

  Deno.test(`checkout ${how} says what to do when it cannot be`, async () => {
    await using server = await startGitServer();
    await using t = await setUpCheckouts({ mirrors });
    const app = await server.repository("app");
    const empty = await server.repository("empty");
    await app.commit({ files: { "hello.txt": "hello" } });
    const gone = "1234567890123456789012345678901234567890";
    await fails(t.checkOut({ url: `${server.url}/nothing.git` }), /no such repository/);
    await fails(t.checkOut({ url: empty.url }), /no default branch; push one/);
    await fails(t.checkOut({ url: app.url, ref: "nope" }), /no branch or tag "nope"/);
    await fails(t.checkOut({ url: app.url, sha: gone }), /does not serve it; push it/);
    await fails(t.checkOut({ url: app.url, sha: gone, ref: "main" }), /no commit 1234/);
    await fails(t.checkOut({ url: app.url, tokenSecret: "MISSING" }), /no secret "MISSING"/);
    server.token = "sesame-open-1234";
    await fails(t.checkOut({ url: app.url }), /name the secret .* in `git.token_secret`/);
    const refused = await fails(t.checkOut({ url: app.url, token: "wrong-1234567" }), /refused/);
    assert.doesNotMatch(refused, /wrong-1234567/);
    server.behaviour = { kind: "fail", status: 503 };
    await fails(t.checkOut({ url: app.url }), /is unreachable or closed the connection/);
    const { url } = app;
    await server[Symbol.asyncDispose]();
    await fails(t.checkOut({ url }), /is unreachable/);
    await fails(t.checkOut({ url: "http://nowhere.invalid/app.git" }), /is unreachable/);
  });

  Deno.test(`checkout ${how} tries again what may pass, says so, and nothing else`, async () => {
    await using server = await startGitServer();
    const app = await server.repository("app");
    await app.commit({ files: { "hello.txt": "hello" } });
    for (const at of [/info\/refs/, /git-upload-pack$/]) {
      for (const status of [503, 429, 0]) {
        await using t = await setUpCheckouts({ mirrors });
        server.behaviour = { kind: "fail_first", status, times: 2, at };
        const done = await t.checkOut({ url: app.url });
        assert.equal(await done.read("hello.txt"), "hello");
        const retries = done.said.filter((line) => /; trying again in .*s \(\d of 4\)$/.test(line));
        assert.equal(retries.length, 2, `${at} ${status}: ${done.said.join("\n")}`);
        for (const line of retries) assert.match(line, /^Cannot check out http.*unreachable/);
      }
    }
    for (const status of [401, 404, 400, 410]) {
      await using t = await setUpCheckouts({ mirrors });
      server.behaviour = { kind: "fail", status };
      await fails(t.checkOut({ url: app.url }));
      assert.deepEqual(t.said.filter((line) => line.includes("trying again")), [], `${status}`);
    }
    server.behaviour = { kind: "serve" };
    await using t = await setUpCheckouts({ mirrors });
    await fails(t.checkOut({ url: app.url, ref: "nope" }), /no branch or tag/);
    assert.deepEqual(t.said.filter((line) => line.includes("trying again")), []);
    server.behaviour = { kind: "fail", status: 503 };
    await fails(t.checkOut({ url: app.url }), /unreachable/);
    assert.equal(t.said.filter((line) => line.includes("trying again")).length, 3);
  });

  Deno.test(`checkout ${how} brings submodules, relative and nested`, async () => {
    await using server = await startGitServer();
    await using t = await setUpCheckouts({ mirrors });
    const leaf = await server.repository("group/leaf");
    const leafSha = await leaf.commit({ files: { "leaf.txt": "leaf" } });
    await leaf.commit({ files: { "leaf.txt": "newer" } });
    const lib = await server.repository("group/lib");
    const libSha = await lib.commit({
      files: {
        "lib.txt": "lib",
        ".gitmodules": '[submodule "leaf"]\n\tpath = deep/leaf\n\turl = ./../leaf.git\n',
        "deep/leaf": { kind: "submodule", sha: leafSha },
      },
    });
    const app = await server.repository("app");
    await app.commit({
      files: {
        "app.txt": "app",
        ".gitmodules": '[submodule "the lib"]\n\tpath = vendor/lib\n\turl = ../group/lib.git\n' +
          '[submodule "no commit"]\n\tpath = none\n\turl = ../none.git\n',
        "vendor/lib": { kind: "submodule", sha: libSha },
      },
    });
    const done = await t.checkOut({ url: app.url, submodules: true });
    assert.equal(await done.read("vendor/lib/lib.txt"), "lib");
    assert.equal(await done.read("vendor/lib/deep/leaf/leaf.txt"), "leaf");
    assert.equal(await done.git("status", "--porcelain"), "");
    assert.match(await done.git("submodule", "status", "--recursive"), /^[0-9a-f]{40} vendor\/lib/);
    const plain = await t.checkOut({ url: app.url });
    assert.deepEqual([...Deno.readDirSync(`${plain.workspace}/vendor/lib`)], []);
  });
}

Deno.test("checkout reads a repository whose objects are named by SHA-256", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const app = await server.repository("app", { sha256: true });
  const sha = await app.commit({ files: { "hello.txt": "hello" } });
  assert.equal(sha.length, 64);
  for (const wish of [{}, { sha }]) {
    const done = await t.checkOut({ url: app.url, ...wish });
    assert.equal(await done.git("rev-parse", "HEAD"), sha);
  }
});

Deno.test("checkout finds a commit that the server hands out only with its branch", async () => {
  await using server = await startGitServer();
  const app = await server.repository("app");
  const sha = await app.commit({ branch: "side", files: { n: "1" } });
  await app.commit({ branch: "side", files: { n: "2" } });
  await app.commit({ files: { n: "3" } });
  // Protocol 2 hands out everything; the older one only what has a name.
  await app.git("config", "protocol.version", "0");
  for (const mirrors of [true, false]) {
    await using t = await setUpCheckouts({ mirrors });
    const done = await t.checkOut({ url: app.url, sha });
    assert.equal(await done.read("n"), "1");
  }
});

Deno.test("checkout follows a redirect to another path of the same server", async () => {
  await using server = await startGitServer({ token: "sesame-open-1234" });
  await using front = await startGitServer();
  await using t = await setUpCheckouts();
  const app = await server.repository("app");
  await app.commit({ files: { "hello.txt": "hello" } });
  front.behaviour = { kind: "redirect", to: server.url };
  server.token = undefined;
  const done = await t.checkOut({ url: `${front.url}/app.git` });
  assert.equal(await done.read("hello.txt"), "hello");
});

Deno.test("checkout reaches a repository on this machine where that is allowed", async () => {
  await using server = await startGitServer();
  const app = await server.repository("app");
  await app.commit({ files: { "hello.txt": "hello" } });
  await using open = await setUpCheckouts({ schemes: ["file"] });
  for (const url of [app.path, `file://${app.path}`]) {
    assert.equal(await (await open.checkOut({ url })).read("hello.txt"), "hello");
  }
  await using closed = await setUpCheckouts();
  await fails(closed.checkOut({ url: `file://${app.path}` }), /not allowed here/);
});

Deno.test("checkout with LFS says that git-lfs is not installed", async () => {
  await using server = await startGitServer();
  const app = await server.repository("app");
  await app.commit({ files: { "hello.txt": "hello" } });
  // A directory with git and without git-lfs.
  await using bin = await setUpCheckouts();
  await Deno.symlink("/usr/bin/git", `${bin.root}/git`);
  await using t = await setUpCheckouts({ env: { PATH: bin.root } });
  await fails(t.checkOut({ url: app.url, lfs: true }), /git-lfs is not installed/);
});

Deno.test({
  name: "checkout with LFS puts the files in the place of their pointers",
  ignore: !isInstalled("git-lfs"),
  async fn() {
    const token = "sesame-open-1234";
    await using server = await startGitServer();
    await using evil = await startGitServer();
    const app = await server.repository("app");
    const text = "a big file\n";
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    const oid = new Uint8Array(digest).toHex();
    server.lfs.set(oid, text);
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 11\n`;
    await app.commit({
      files: {
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        ".lfsconfig": `[lfs]\n\turl = ${evil.url}/app.git/info/lfs\n`,
        "big.bin": pointer,
      },
    });
    await using t = await setUpCheckouts();
    const plain = await t.checkOut({ url: app.url });
    assert.equal(await plain.read("big.bin"), pointer);
    const done = await t.checkOut({ url: app.url, lfs: true });
    assert.equal(await done.read("big.bin"), text);
    assert.equal(await done.git("config", "filter.lfs.clean"), "git-lfs clean -- %f");
    await done.git("status");
    // The mirror keeps it, also for containers, and an earlier job cannot change it for later ones.
    server.requests.length = 0;
    for (const contained of [false, true]) {
      const again = await t.checkOut({ url: app.url, lfs: true, contained });
      assert.equal(await again.read("big.bin"), text);
      assert.equal(await again.git("status", "--porcelain"), "");
      const own = `${again.workspace}/.git/lfs/objects/${oid.slice(0, 2)}/${
        oid.slice(2, 4)
      }/${oid}`;
      assert.equal((await Deno.stat(own)).nlink === 1, contained);
      if (!contained) continue;
      assert.deepEqual(server.requests.filter(({ target }) => target.includes("/info/lfs/")), []);
      const [mirror] = [...Deno.readDirSync(t.mirrors)].filter(({ name }) => name.endsWith(".git"));
      const kept = own.replace(`${again.workspace}/.git`, `${t.mirrors}/${mirror?.name}`);
      await Deno.remove(kept);
      await Deno.writeTextFile(kept, "evil stuff\n");
      const healed = await t.checkOut({ url: app.url, lfs: true });
      assert.equal(await healed.read("big.bin"), text);
    }
    server.behaviour = { kind: "fail_first", status: 503, times: 1, at: /objects\/batch$/ };
    await using other = await setUpCheckouts({ mirrors: false });
    const second = await other.checkOut({ url: app.url, lfs: true });
    assert.equal(await second.read("big.bin"), text);
    server.behaviour = { kind: "serve" };
    server.lfs.clear();
    await using cold = await setUpCheckouts();
    await fails(cold.checkOut({ url: app.url, lfs: true }), /git said: /);
    assert.deepEqual(evil.requests, []);
    server.token = token;
    server.lfs.set(oid, text);
    assert.equal(
      await (await cold.checkOut({ url: app.url, lfs: true, token })).read("big.bin"),
      text,
    );
  },
});

function isInstalled(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((directory) => {
    try {
      return Deno.statSync(`${directory}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}
