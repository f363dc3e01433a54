import assert from "node:assert/strict";
import { emptyDirectory } from "@lib/features/checkout/checkout_repository.ts";
import { StepFailure } from "@lib/spine/jobs/step.ts";
import { setUpCheckouts } from "../support/checkout_fixture.ts";
import type { CommittedFile } from "../support/git_repository.ts";
import { startGitServer } from "../support/git_server.ts";
import { everythingInProc, processesWith } from "../support/processes.ts";

const TOKEN = "sesame-open-0123456789";

async function failure(checkout: Promise<unknown>): Promise<string> {
  const error = await checkout.then(() => assert.fail("It was checked out"), (thrown) => thrown);
  assert.ok(error instanceof StepFailure, String(error));
  assert.equal(error.reason, "checkout_failed");
  return error.message;
}

/** The paths of the files below a directory that hold a text. */
async function filesWith(directory: string, text: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) found.push(...await filesWith(path, text));
    else if (isFile) {
      const content = new TextDecoder("latin1").decode(await Deno.readFile(path));
      if (content.includes(text)) found.push(path);
    }
  }
  return found;
}

Deno.test("emptyDirectory() removes names that are not UTF-8, and read-only directories", async () => {
  const path = await Deno.makeTempDir({ prefix: "empty-" });
  const made = await new Deno.Command("sh", {
    args: ["-c", `d=$(printf 'x\\377') && mkdir "$d" && echo 1 >"$d/f" && chmod 500 "$d"`],
    cwd: path,
  }).output();
  assert.ok(made.success);
  await emptyDirectory(path);
  // Only an empty directory goes.
  await Deno.remove(path);
  await emptyDirectory(path);
  await Deno.remove(path);
});

Deno.test("checkout refuses addresses and names that mean something else to git", async () => {
  await using t = await setUpCheckouts();
  const trap = `${t.root}/trapped`;
  const url = "https://example.org/app.git";
  const wishes = [
    { url: `ext::sh -c touch% ${trap}` },
    { url: `ext::touch\t${trap}` },
    { url: "fd::17" },
    { url: `--upload-pack=touch ${trap}` },
    { url: `-u${trap}` },
    { url: `file://${t.root}` },
    { url: t.root },
    { url: "../.." },
    { url: `https://user:${TOKEN}@example.org/app.git` },
    { url: `https://${TOKEN}@example.org/app.git` },
    { url: "ssh://-oProxyCommand=touch/app.git" },
    { url: "-oProxyCommand=touch:app.git" },
    { url, ref: `--upload-pack=touch ${trap}` },
    { url, ref: "main:refs/heads/x" },
    { url, ref: "+refs/heads/*" },
    { url, ref: "a..b" },
    { url, sha: "--output=x" },
    { url, path: "../out" },
    { url, path: "/etc" },
    { url, path: "a/.git/hooks" },
  ];
  for (const wish of wishes) {
    const said = await failure(t.checkOut(wish));
    assert.match(said, /^Cannot check out: `git\./, JSON.stringify(wish));
    assert.ok(!said.includes(TOKEN), said);
  }
  await assert.rejects(Deno.stat(trap), Deno.errors.NotFound);
});

Deno.test("checkout runs no hook, filter, monitor or setting of the repository", async () => {
  await using server = await startGitServer();
  const app = await server.repository("app");
  const trapped = await Deno.makeTempDir();
  const trap = (name: string): CommittedFile => ({
    kind: "executable",
    text: `#!/bin/sh\ntouch ${trapped}/${name}\ncat\n`,
  });
  await app.commit({
    files: {
      ".gitattributes": "* filter=evil diff=evil merge=evil\n*.txt filter=lfs\n",
      ".gitconfig": `[core]\n\tfsmonitor = touch ${trapped}/monitor\n`,
      ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:1/\n",
      "hooks/post-checkout": trap("hook"),
      "config": `[filter "evil"]\n\tsmudge = touch ${trapped}/smudge\n[core]\n\tbare = true\n`,
      "HEAD": "ref: refs/heads/main\n",
      "objects/x": "",
      "refs/x": "",
      "evil.txt": "text\n",
    },
  });
  for (const mirrors of [true, false]) {
    await using t = await setUpCheckouts({ mirrors });
    const done = await t.checkOut({ url: app.url, submodules: true });
    assert.equal(await done.read("evil.txt"), "text\n");
    assert.deepEqual([...Deno.readDirSync(trapped)], []);
    assert.ok(
      ![...Deno.readDirSync(`${done.workspace}/.git`)].some(({ name }) => name === "hooks"),
    );
    assert.equal(
      await done.git("config", "--local", "--name-only", "--list", "-z"),
      [
        "core.repositoryformatversion",
        "core.filemode",
        "core.bare",
        "core.logallrefupdates",
        "remote.origin.url",
        "remote.origin.fetch",
        "",
      ].join("\0"),
    );
  }
  await Deno.remove(trapped, { recursive: true });
});

Deno.test("checkout does not use the account's own settings of git", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts({
    env: { HOME: "/nonexistent", GIT_SSH_COMMAND: "false", GIT_DIR: "/nonexistent" },
  });
  const app = await server.repository("app");
  await app.commit({ files: { "hello.txt": "hello" } });
  assert.equal(await (await t.checkOut({ url: app.url })).read("hello.txt"), "hello");
});

Deno.test("checkout checks the URL of every submodule", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const trap = `${t.root}/trapped`;
  const lib = await server.repository("lib");
  const sha = await lib.commit({ files: { a: "a" } });
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["lib", `ext::sh -c touch% ${trap}`, /submodule "lib": its address/],
    ["lib", `--upload-pack=touch ${trap}`, /its address begins with "-"/],
    ["lib", `file://${lib.path}`, /not allowed here/],
    ["lib", lib.path, /not allowed here/],
    ["lib", "../../../../etc", /leads above the server's root/],
    ["lib", `https://u:${TOKEN}@example.org/x`, /holds credentials/],
    ["../lib", lib.url, /empty part, "\." or "\.\."/],
    [".git/hooks", lib.url, /git's own directory/],
    [".GIT/x", lib.url, /git's own directory/],
  ];
  for (const [index, [path, url, words]] of cases.entries()) {
    const app = await server.repository(`app${index}`);
    await app.commit({
      files: {
        ".gitmodules": `[submodule "x"]\n\tpath = ${path}\n\turl = ${url}\n`,
        "lib": { kind: "submodule", sha },
      },
    });
    const said = await failure(t.checkOut({ url: app.url, submodules: true }));
    assert.match(said, words);
    assert.ok(!said.includes(TOKEN), said);
  }
  await assert.rejects(Deno.stat(trap), Deno.errors.NotFound);
});

Deno.test("checkout refuses a submodule whose name leads out", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const lib = await server.repository("lib");
  const sha = await lib.commit({ files: { a: "a" } });
  const app = await server.repository("app");
  await app.commit({
    files: {
      ".gitmodules": `[submodule "../../x"]\n\tpath = lib\n\turl = ${lib.url}\n`,
      "lib": { kind: "submodule", sha },
    },
  });
  assert.match(await failure(t.checkOut({ url: app.url, submodules: true })), /"\.\." in its name/);
});

Deno.test("checkout follows no symlink in place of a submodule or .gitmodules", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const outside = `${t.root}/outside`;
  await Deno.mkdir(outside);
  const linked = await server.repository("linked");
  await linked.commit({ files: { ".gitmodules": { kind: "symlink", target: "/etc/passwd" } } });
  // git itself refuses to write such a link, or we to read it.
  await t.checkOut({ url: linked.url, submodules: true }).catch((error) =>
    assert.ok(error instanceof StepFailure)
  );
  const app = await server.repository("app");
  await app.commit({
    files: {
      ".gitmodules": `[submodule "x"]\n\tpath = way/lib\n\turl = ../linked.git\n`,
      "way": { kind: "symlink", target: outside },
    },
  });
  await t.checkOut({ url: app.url, submodules: true });
  assert.deepEqual([...Deno.readDirSync(outside)], []);
});

Deno.test("checkout writes nothing into .git from a tree that names it", async () => {
  await using server = await startGitServer();
  for (const name of [".git", ".GIT", "git~1", ".g\u200cit"]) {
    await using t = await setUpCheckouts();
    const app = await server.repository(`app-${encodeURIComponent(name)}`);
    const blob = await app.git("hash-object", "-w", "/dev/null");
    const commit = await treeCommit(app.path, name, blob);
    await app.git("update-ref", "refs/heads/main", commit);
    const said = await failure(t.checkOut({ url: app.url }));
    assert.match(said, /^(?:Cannot check out|git)/);
  }
});

/** A commit that git's own commands would not make. */
async function treeCommit(path: string, name: string, blob: string): Promise<string> {
  const { git } = await import("../support/git_repository.ts");
  const inner = await git(["-C", path, "mktree"], `100755 blob ${blob}\tpost-checkout\n`);
  const tree = await git(["-C", path, "mktree"], `040000 tree ${inner}\t${name}\n`);
  return await git(["-C", path, "commit-tree", "-m", "evil", tree]);
}

Deno.test("checkout sends the token to the remote's own host only", async () => {
  await using other = await startGitServer({ token: TOKEN });
  await using server = await startGitServer();
  for (const mirrors of [true, false]) {
    await using t = await setUpCheckouts({ mirrors });
    const name = `app-${mirrors}`;
    await (await other.repository(name)).commit({ files: { a: "a" } });
    server.behaviour = { kind: "redirect", to: other.url };
    const said = await failure(t.checkOut({ url: `${server.url}/${name}.git`, token: TOKEN }));
    assert.match(said, /redirects to another server, which asks for a token/);
    assert.ok(other.requests.length > 0, "the redirect was followed");
    assert.deepEqual(other.requests.filter(({ authorization }) => authorization !== undefined), []);
    // The same after the first server had taken the token.
    server.behaviour = { kind: "serve" };
    server.token = TOKEN;
    const app = await server.repository(`own-${mirrors}`);
    await app.commit({ files: { a: "a" } });
    await t.checkOut({ url: app.url, token: TOKEN });
    const lib = await other.repository(`lib-${mirrors}`);
    const sha = await lib.commit({ files: { b: "b" } });
    await app.commit({
      files: {
        ".gitmodules": `[submodule "lib"]\n\tpath = lib\n\turl = ${lib.url}\n`,
        "lib": { kind: "submodule", sha },
      },
    });
    const submodule = await failure(t.checkOut({ url: app.url, token: TOKEN, submodules: true }));
    assert.match(submodule, /^In submodule "lib": .*name the secret|not public/);
    assert.deepEqual(other.requests.filter(({ authorization }) => authorization !== undefined), []);
    server.token = undefined;
  }
});

Deno.test("checkout takes submodules at ssh addresses of the token's own host with the token", async () => {
  await using server = await startGitServer({ token: TOKEN });
  const lib = await server.repository("group/lib");
  const sha = await lib.commit({ files: { "lib.txt": "lib" } });
  const app = await server.repository("group/app");
  const urls = {
    scp: "git@127.0.0.1:group/lib.git",
    ssh: "ssh://git@127.0.0.1:2222/group/lib.git",
    user: lib.url.replace("http://", "http://me@"),
  };
  const names = Object.entries(urls);
  await app.commit({
    files: {
      ".gitmodules": names.map(([name, url]) =>
        `[submodule "${name}"]\n\tpath = ${name}\n\turl = ${url}\n`
      ).join("") +
        '[submodule "off"]\n\tpath = off\n\turl = ../gone.git\n\tupdate = none\n',
      ...Object.fromEntries(names.map(([name]) => [name, { kind: "submodule", sha } as const])),
      "off": { kind: "submodule", sha },
    },
  });
  for (const mirrors of [true, false]) {
    await using t = await setUpCheckouts({ mirrors });
    const done = await t.checkOut({ url: app.url, token: TOKEN, submodules: true });
    for (const [name] of names) assert.equal(await done.read(`${name}/lib.txt`), "lib");
    assert.equal(await done.git("config", "submodule.scp.url"), lib.url);
    assert.equal(await done.git("status", "--porcelain"), "");
    assert.deepEqual([...Deno.readDirSync(`${done.workspace}/off`)], []);
    assert.ok(done.said.includes("Submodule off: skipped (update = none)"), done.said.join("\n"));
  }
});

Deno.test("checkout leaves the token nowhere, while it fetches and after", async () => {
  await using server = await startGitServer({ token: TOKEN });
  await using t = await setUpCheckouts();
  const app = await server.repository("app");
  await app.commit({ files: { a: "a" } });
  server.behaviour = { kind: "hang_at_objects" };
  const stop = new AbortController();
  const reason = new Error("enough");
  const hanging = t.checkOut({ url: app.url, token: TOKEN, signal: stop.signal });
  const rejected = assert.rejects(hanging, reason);
  while (processesWith("fetch", app.url).length === 0) await server.nextRequest();
  const encoded = btoa(`x-access-token:${TOKEN}`);
  const seen = everythingInProc();
  assert.ok(seen.includes(app.url), "the fetch can be seen");
  for (const form of [TOKEN, encoded]) assert.ok(!seen.includes(form), "in a process");
  const files = await filesWith(t.root, TOKEN);
  assert.equal(files.length, 1, files.join(" "));
  assert.ok(files[0]?.startsWith(t.runtimeDir));
  assert.equal(((await Deno.stat(files[0] ?? "")).mode ?? 0) & 0o777, 0o600);
  stop.abort(reason);
  await rejected;
  assert.deepEqual(processesWith(app.url), [], "nothing of it lives");
  assert.deepEqual(await filesWith(t.root, TOKEN), []);

  server.behaviour = { kind: "serve" };
  await t.checkOut({ url: app.url, token: TOKEN });
  assert.deepEqual(await filesWith(t.root, TOKEN), []);
  assert.deepEqual(await filesWith(t.root, encoded), []);
  assert.ok(!t.said.join("\n").includes(TOKEN));
});

Deno.test("checkout over ssh asks nothing and trusts only known hosts", async () => {
  await using t = await setUpCheckouts({ knownHosts: "/etc/known hosts" });
  // In place of ssh: says how it was called, and serves nothing.
  const bin = `${t.root}/bin`;
  await Deno.mkdir(bin);
  await Deno.writeTextFile(
    `${bin}/ssh`,
    `#!/bin/sh\nfor word; do echo "[$word]"; done >'${t.root}/called'\n` +
      `echo 'Host key verification failed.' >&2\nexit 255\n`,
    { mode: 0o700 },
  );
  await using u = await setUpCheckouts({
    knownHosts: "/etc/known hosts",
    env: { PATH: `${bin}:${Deno.env.get("PATH")}` },
  });
  for (const url of ["ssh://git@example.org:2222/app.git", "git@example.org:group/app.git"]) {
    assert.match(await failure(u.checkOut({ url })), /the host key is unknown/);
    const called = await Deno.readTextFile(`${t.root}/called`);
    assert.match(called, /\[BatchMode=yes\]/);
    assert.match(called, /\[StrictHostKeyChecking=yes\]/);
    assert.match(called, /\[UserKnownHostsFile="\/etc\/known hosts"\]/);
    assert.match(called, /\[git@example\.org\]/);
  }
  const refused = u.checkOut({ url: "git@example.org:app.git", token: TOKEN });
  assert.match(await failure(refused), /`git\.token_secret` works with https:\/\/ only/);
});

Deno.test("checkout shows what a commit or a server says as plain text", async () => {
  await using server = await startGitServer();
  await using t = await setUpCheckouts();
  const app = await server.repository("app");
  await app.commit({
    message: `\u001b[31mred\u202eder \u0007 ${"x".repeat(500)}`,
    files: { a: "a" },
  });
  const done = await t.checkOut({ url: app.url });
  const line = done.said.at(-1) ?? "";
  assert.doesNotMatch(line, /[\p{Cc}\p{Cf}]/u);
  assert.ok(line.length < 300);
});
