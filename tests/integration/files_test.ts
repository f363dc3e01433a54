import assert from "node:assert/strict";
import { NotADirectoryError, openDirectory } from "@lib/foundations/files/directory.ts";
import { compileGlobs } from "@lib/foundations/files/glob.ts";
import { openInside, writeInside } from "@lib/foundations/files/inside.ts";
import {
  directoriesIn,
  existsSync,
  readIfThere,
  writeAtomic,
} from "@lib/foundations/files/records.ts";
import { walk } from "@lib/foundations/files/walk.ts";
import { StepFailure } from "@lib/spine/jobs/step.ts";
import { filesStep } from "@lib/features/files/agent.ts";
import { openWorkspace, type Workspace } from "../support/workspace.ts";

const NEVER = new AbortController().signal;
const bytes = (text: string) => new TextEncoder().encode(text);

async function outsideOf(t: Workspace): Promise<string> {
  const outside = `${t.stateDir}/outside`;
  await Deno.mkdir(outside);
  await Deno.writeTextFile(`${outside}/file`, "outside");
  return outside;
}

Deno.test("Directory keeps to its directory when a part of its path is swapped for a link", async () => {
  await using t = await openWorkspace();
  const outside = await outsideOf(t);
  await t.write("a/b/file", "inside");
  using top = openDirectory(t.directory.workspace);
  using a = top.directory("a");
  using b = a.directory("b");
  await Deno.rename(`${t.directory.workspace}/a`, `${t.directory.workspace}/moved`);
  await Deno.symlink(outside, `${t.directory.workspace}/a`);
  await Deno.symlink(outside, `${t.directory.workspace}/b`);
  assert.deepEqual(b.entries(), [{ name: "file", kind: "file" }]);
  await b.writeFile("new", [bytes("new")], 0o600);
  assert.equal(existsSync(`${outside}/new`), false);
  assert.equal(existsSync(`${t.directory.workspace}/moved/b/new`), true);
  assert.throws(() => top.directory("a"), NotADirectoryError);
});

Deno.test("Directory refuses names that lead elsewhere", async () => {
  await using t = await openWorkspace();
  using top = openDirectory(t.directory.workspace);
  for (const name of ["", ".", "..", "a/b", "/etc", "a\0"]) {
    assert.throws(() => top.look(name), RangeError);
  }
});

Deno.test("Directory.file() opens regular files only", { timeout: 20_000 }, async () => {
  await using t = await openWorkspace();
  const outside = await outsideOf(t);
  const work = t.directory.workspace;
  await t.write("plain", "plain");
  await Deno.symlink(`${outside}/file`, `${work}/link`);
  await new Deno.Command("mkfifo", { args: [`${work}/pipe`] }).output();
  using socket = Deno.listen({ transport: "unix", path: `${work}/socket` });
  using top = openDirectory(work);
  for (const name of ["link", "pipe", "socket", "nothing"]) {
    assert.equal(top.file(name), undefined, name);
  }
  using plain = top.file("plain");
  assert.equal(plain?.size, 5);
  assert.equal(socket.addr.transport, "unix");
});

Deno.test("Directory.writeFile() takes no name twice, sets the mode, leaves nothing half", async () => {
  await using t = await openWorkspace();
  const outside = await outsideOf(t);
  using top = openDirectory(t.directory.workspace);
  await Deno.symlink(`${outside}/made`, `${t.directory.workspace}/link`);
  await assert.rejects(top.writeFile("link", [bytes("x")], 0o644), Deno.errors.AlreadyExists);
  assert.equal(existsSync(`${outside}/made`), false);
  await top.writeFile("open", [bytes("x")], 0o777);
  assert.equal((top.stat("open")?.mode ?? 0) & 0o777, 0o777);
  const broken = function* () {
    yield bytes("half");
    throw new Error("broken");
  };
  await assert.rejects(top.writeFile("half", broken(), 0o644), /broken/);
  assert.equal(top.look("half"), undefined);
});

Deno.test("openInside() goes through no link, wherever it is in the path", async () => {
  await using t = await openWorkspace();
  const outside = await outsideOf(t);
  await t.write("a/file", "inside");
  await Deno.symlink(outside, `${t.directory.workspace}/a/out`);
  await Deno.symlink("a", `${t.directory.workspace}/same`);
  const top = t.directory.workspace;
  using found = openInside(top, "a/file");
  assert.equal(found?.size, 6);
  for (const path of ["a/out/file", "same/file", "a", "a/file/x", "x/y"]) {
    assert.equal(openInside(top, path), undefined, path);
  }
  assert.throws(() => openInside(top, "../outside/file"), RangeError);
});

Deno.test("writeInside() replaces a link, and refuses one on the way", async () => {
  await using t = await openWorkspace();
  const outside = await outsideOf(t);
  const work = t.directory.workspace;
  await Deno.symlink(`${outside}/file`, `${work}/link`);
  await Deno.symlink(outside, `${work}/directory`);
  using top = openDirectory(work);
  await writeInside(top, "link", { bytes: bytes("new"), mode: 0o644 });
  assert.equal((await Deno.lstat(`${work}/link`)).isFile, true);
  await assert.rejects(
    writeInside(top, "directory/x", { bytes: bytes("new"), mode: 0o644 }),
    NotADirectoryError,
  );
  await assert.rejects(
    writeInside(top, "link/x", { bytes: bytes("new"), mode: 0o644 }),
    NotADirectoryError,
  );
  await writeInside(top, "deep/er/x", { bytes: bytes("new"), mode: 0o755 });
  assert.equal((await Deno.stat(`${work}/deep/er/x`)).mode, 0o100755);
  assert.equal(await Deno.readTextFile(`${outside}/file`), "outside");
});

Deno.test("walk() closes its directories when the reader leaves early", async () => {
  await using t = await openWorkspace();
  await t.write("a/b/c/one", "1");
  await t.write("a/b/c/two", "2");
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  using top = openDirectory(t.directory.workspace);
  const before = open();
  for await (const { path } of walk(top, compileGlobs(["**/*"]), NEVER)) {
    assert.equal(path, "a/b/c/one");
    break;
  }
  assert.equal(open(), before);
});

Deno.test("writeAtomic() and readIfThere() write and read whole files", async () => {
  await using t = await openWorkspace();
  const path = `${t.stateDir}/record`;
  assert.equal(await readIfThere(path), undefined);
  await writeAtomic(path, "one");
  await writeAtomic(path, "two");
  assert.equal(await readIfThere(path), "two");
  assert.equal((await Deno.stat(path)).mode, 0o100600);
  assert.deepEqual(directoriesIn(`${t.stateDir}/nothing`), []);
  assert.deepEqual(directoriesIn(t.stateDir), ["projects"]);
});

Deno.test("filesStep() writes files and directories over what the checkout brought", async () => {
  await using t = await openWorkspace();
  await t.write("old.txt", "old");
  const step = filesStep();
  const files = [
    { path: "old.txt", content: btoa("new"), executable: false },
    { path: "bin/run", content: btoa("#!/bin/sh\n"), executable: true },
    { path: "empty/directory/", content: "", executable: false },
  ];
  await step.before?.(t.context({ files }), NEVER);
  await step.before?.(t.context({ files }), NEVER);
  const work = t.directory.workspace;
  assert.equal(await Deno.readTextFile(`${work}/old.txt`), "new");
  assert.equal((await Deno.stat(`${work}/bin/run`)).mode, 0o100755);
  assert.equal((await Deno.stat(`${work}/empty/directory`)).isDirectory, true);
  assert.deepEqual(t.said, [
    "Wrote 3 files of the request",
    "Wrote 3 files of the request",
  ]);
});

Deno.test("filesStep() fails the job if a symlink of the checkout is in the way", async () => {
  await using t = await openWorkspace();
  const outside = await outsideOf(t);
  await Deno.symlink(outside, `${t.directory.workspace}/conf`);
  for (const path of ["conf/file", "conf/"]) {
    const files = [{ path, content: btoa(""), executable: false }];
    const failure = await filesStep().before?.(t.context({ files }), NEVER).then(
      () => undefined,
      (error) => error,
    );
    assert(failure instanceof StepFailure, path);
    assert.equal(failure.reason, "checkout_failed");
    assert.match(failure.message, /^Cannot write the file "conf\/.*": a link/);
  }
  assert.equal(await Deno.readTextFile(`${outside}/file`), "outside");
});
