import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { artifactStep } from "@lib/features/artifacts/artifact_step.ts";
import { readArtifactList, writeArtifactList } from "@lib/features/artifacts/artifact_list.ts";
import { maskKeptNames } from "@lib/features/artifacts/kept_names.ts";
import { ArtifactReader } from "@lib/features/artifacts/artifact_reader.ts";
import type { ArtifactSpec } from "@lib/spine/spec/job_spec.ts";
import { makeJob, makeOutcome } from "../support/job_fixtures.ts";
import { openWorkspace, type Workspace } from "../support/workspace.ts";

const NEVER = new AbortController().signal;
const GIB = 1024 ** 3;

function stepWith(limits: { maxBytes?: number; maxFiles?: number } = {}) {
  const { maxBytes = GIB, maxFiles = 1_000 } = limits;
  return artifactStep({ limits: () => ({ maxBytes, maxFiles }), upload: () => undefined });
}

async function keep(
  t: Workspace,
  paths: readonly string[],
  { when = "always", limits = {}, outcome = makeOutcome() }: {
    when?: ArtifactSpec["when"];
    limits?: { maxBytes?: number; maxFiles?: number };
    outcome?: ReturnType<typeof makeOutcome>;
  } = {},
) {
  const told = await stepWith(limits).after?.(
    t.context({ artifacts: { paths, when } }),
    outcome,
    NEVER,
  );
  const list = await readArtifactList(t.directory.artifactList);
  return { told: told ?? [], list, paths: list?.files.map(({ path }) => path) };
}

async function run(...argv: string[]) {
  const [program = "", ...args] = argv;
  const { success } = await new Deno.Command(program, { args }).output();
  assert(success, argv.join(" "));
}

Deno.test("artifactStep() keeps what the globs take, with size, hash and mode", async () => {
  await using t = await openWorkspace();
  await t.write("dist/a.js", "one");
  await t.write("dist/deep/.hidden", "two");
  await t.write("dist/a.js.map", "three");
  await t.write("src/b.js", "four");
  await Deno.chmod(`${t.directory.workspace}/dist/a.js`, 0o755);
  const { told, list } = await keep(t, ["dist", "!**/*.map"]);
  assert.deepEqual(told, []);
  assert.deepEqual(list?.files, [
    {
      path: "dist/a.js",
      bytes: 3,
      sha256: createHash("sha256").update("one").digest("hex"),
      mode: 0o700,
    },
    {
      path: "dist/deep/.hidden",
      bytes: 3,
      sha256: createHash("sha256").update("two").digest("hex"),
      mode: 0o600,
    },
  ]);
  assert.equal(await Deno.readTextFile(`${t.directory.artifacts}/dist/a.js`), "one");
});

Deno.test("artifactStep() masks secrets in names; two that become one get a number", async () => {
  await using t = await openWorkspace();
  const mask = (text: string) => text.replaceAll(/hunter[23]/g, "*******");
  for (const name of ["hunter2", "hunter3", "*******~2", "hunter2x/a", "hunter3x/a"]) {
    await t.write(`out/${name}`, name);
  }
  await Deno.symlink("nowhere", `${t.directory.workspace}/out/hunter2.link`);
  const context = {
    ...t.context({ artifacts: { paths: ["out", "hunter3"], when: "always" } }),
    mask,
  };
  const told = await stepWith().after?.(context, makeOutcome(), NEVER);
  const list = await readArtifactList(t.directory.artifactList);
  const kept = list?.files.map(({ path }) => [
    path,
    Deno.readTextFileSync(`${t.directory.artifacts}/${path}`),
  ]);
  assert.deepEqual(kept, [
    ["out/*******~2", "*******~2"],
    ["out/*******", "hunter2"],
    ["out/*******x/a", "hunter2x/a"],
    ["out/*******~3", "hunter3"],
    ["out/*******x/a~2", "hunter3x/a"],
  ]);
  assert.deepEqual(list?.left_out, [{ path: "out/*******.link", why: "is a symbolic link" }]);
  assert.deepEqual(list?.unmatched, ["*******"]);
  assert.match(
    told?.join() ?? "",
    /No file was found for "[*]{7}",.*"out\/[*]{7}[.]link" is a sym/,
  );
});

Deno.test("maskKeptNames() renames what an earlier release kept, and goes on after a crash", async () => {
  await using t = await openWorkspace();
  const job = makeJob({ id: t.ref.jobId, attempt: 1, state: "succeeded" });
  await t.write("out/hunter2/a", "one");
  await t.write("out/*******/a", "two");
  await t.write("out/plain", "three");
  const { list } = await keep(t, ["out"]);
  assert.ok(list);
  const uploaded = { to: "s3://b/", files: 0, bytes: 0, missing: 3, problem: '"hunter2": 403' };
  await writeArtifactList(t.directory.artifactList, { ...list, uploaded });
  const before = await Deno.readTextFile(t.directory.artifactList);
  const mask = (text: string) => text.replaceAll("hunter2", "*******");
  for (let crash = 0; crash < 2; crash++) {
    await maskKeptNames(t.stateDir, job, { mask, signal: NEVER });
    const masked = await readArtifactList(t.directory.artifactList);
    const kept = masked?.files.map(({ path }) => [
      path,
      Deno.readTextFileSync(`${t.directory.artifacts}/${path}`),
    ]);
    assert.deepEqual(kept, [
      ["out/*******/a", "two"],
      ["out/*******/a~2", "one"],
      ["out/plain", "three"],
    ]);
    assert.equal(masked?.uploaded?.problem, '"*******": 403');
    const names = [...Deno.readDirSync(`${t.directory.artifacts}/out`)].map(({ name }) => name);
    assert.deepEqual(names.sort(), ["*******", "plain"]);
    // The files were moved, the list was not written yet.
    await Deno.writeTextFile(t.directory.artifactList, before);
  }
});

Deno.test("artifactStep() keeps what it kept when the workspace is gone", async () => {
  await using t = await openWorkspace();
  await t.write("report.xml", "x".repeat(100_000));
  await keep(t, ["report.xml"]);
  await Deno.remove(t.directory.workspace, { recursive: true });
  const again = await keep(t, ["report.xml"]);
  assert.deepEqual(again.paths, ["report.xml"]);
  assert.equal((await Deno.stat(`${t.directory.artifacts}/report.xml`)).nlink, 1);
});

Deno.test("artifactStep() follows no symlink and opens no pipe", { timeout: 20_000 }, async () => {
  await using t = await openWorkspace();
  const work = t.directory.workspace;
  const outside = `${t.stateDir}/outside`;
  await Deno.mkdir(outside);
  await Deno.writeTextFile(`${outside}/secret`, "secret");
  await Deno.symlink(`${outside}/secret`, `${work}/link`);
  await Deno.symlink(outside, `${work}/directory`);
  await Deno.symlink("..", `${work}/up`);
  await run("mkfifo", `${work}/pipe`);
  await t.write("plain", "plain");
  const { told, list } = await keep(t, ["*", "directory/secret", "up/**", "pipe"]);
  assert.deepEqual(list?.files.map(({ path }) => path), ["plain"]);
  assert.deepEqual(list?.left_out, [
    { path: "directory", why: "is a symbolic link" },
    { path: "link", why: "is a symbolic link" },
    { path: "pipe", why: "is not a regular file" },
    { path: "up", why: "is a symbolic link" },
  ]);
  assert.match(
    told.join("\n"),
    /4 files were left out of the artifacts: "directory" is a symbolic/,
  );
  const { stdout } = await new Deno.Command("grep", {
    args: ["-r", "secret", t.directory.artifacts],
  })
    .output();
  assert.equal(stdout.length, 0);
});

Deno.test("artifactStep() copies a file that has another name, so that it cannot change later", async () => {
  await using t = await openWorkspace();
  await t.write("a", "before");
  await Deno.link(`${t.directory.workspace}/a`, `${t.stateDir}/other-name`);
  await keep(t, ["a"]);
  await Deno.writeTextFile(`${t.stateDir}/other-name`, "after!");
  assert.equal(await Deno.readTextFile(`${t.directory.artifacts}/a`), "before");
});

Deno.test("artifactStep() leaves out and names what does not fit", async () => {
  await using t = await openWorkspace();
  for (const name of ["a", "b", "c", "d"]) await t.write(name, name.repeat(400));
  const size = await keep(t, ["*"], { limits: { maxBytes: 1_000 } });
  assert.deepEqual(size.paths, ["a", "b"]);
  assert.match(size.told.join(), /2 files were left out .*"c" does not fit with its 400B/);
  await Deno.remove(t.directory.artifactList);
  const count = await keep(t, ["*"], { limits: { maxFiles: 3 } });
  assert.deepEqual(count.paths, ["a", "b", "c"]);
  assert.match(count.told.join(), /"d" is beyond the limit of 3 files/);
});

Deno.test("artifactStep() says which globs took nothing", async () => {
  await using t = await openWorkspace();
  await t.write("a", "a");
  const { told, list } = await keep(t, ["a", "dist/*.tgz", "!x"]);
  assert.deepEqual(told, ['No file was found for "dist/*.tgz"']);
  assert.deepEqual(list?.unmatched, ["dist/*.tgz"]);
});

Deno.test("artifactStep() keeps after the endings that were asked for only", async () => {
  const failed = makeOutcome({ state: "failed", exitCode: 1 });
  const wanted = [
    ["success", makeOutcome(), true],
    ["success", failed, false],
    ["failure", makeOutcome(), false],
    ["failure", failed, true],
    ["failure", makeOutcome({ state: "timed_out", reason: "timeout" }), true],
    ["always", failed, true],
  ] as const;
  for (const [when, outcome, isKept] of wanted) {
    await using t = await openWorkspace();
    await t.write("a", "a");
    const { list } = await keep(t, ["a"], { when, outcome });
    assert.equal(list !== undefined, isKept, `${when} ${outcome.state}`);
  }
});

Deno.test("artifactStep() starts over after it died half-way", async () => {
  await using t = await openWorkspace();
  await t.write("a", "whole");
  await Deno.mkdir(`${t.directory.artifacts}/old`, { recursive: true });
  await Deno.writeTextFile(`${t.directory.artifacts}/a`, "ha");
  const { paths } = await keep(t, ["a"]);
  assert.deepEqual(paths, ["a"]);
  assert.equal(await Deno.readTextFile(`${t.directory.artifacts}/a`), "whole");
  await assert.rejects(Deno.stat(`${t.directory.artifacts}/old`), Deno.errors.NotFound);
});

Deno.test("artifactStep() bounds what it says about names that a job chose", async () => {
  await using t = await openWorkspace();
  for (let index = 0; index < 300; index++) {
    await Deno.symlink("/", `${t.directory.workspace}/${"\n\u001b[2J".repeat(20)}${index}`);
  }
  const { told, list } = await keep(t, ["*"]);
  assert.equal(list?.left_out_count, 300);
  assert.equal(list.left_out.length, 200);
  assert(told.join("").length < 1_000);
  assert(!/\p{Cc}/u.test(told.join("") + list.left_out.map(({ path }) => path).join("")));
});

Deno.test("artifactStep() goes into directories that are very deep only so far", async () => {
  await using t = await openWorkspace();
  const path = `${t.directory.workspace}/${"d/".repeat(150)}`;
  await Deno.mkdir(path, { recursive: true });
  await Deno.writeTextFile(`${path}f`, "deep");
  const { list } = await keep(t, ["d"]);
  assert.deepEqual(list?.files, []);
  assert.match(list?.left_out[0]?.why ?? "", /100 directories deep/);
});

Deno.test("artifactStep() leaves no descriptor open", async () => {
  await using t = await openWorkspace();
  for (let index = 0; index < 50; index++) await t.write(`d${index % 7}/f${index}`, "x");
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = open();
  await keep(t, ["**/*"]);
  assert.equal(open(), before);
});

Deno.test("ArtifactReader finds what is listed, and nothing else", async () => {
  await using t = await openWorkspace();
  await t.write("dist/a", "0123456789");
  await keep(t, ["dist"]);
  const job = makeJob({ id: t.ref.jobId, attempt: 1 });
  const reader = new ArtifactReader(t.stateDir);
  const found = await reader.find(job, 1, "dist/a");
  assert(found !== undefined);
  const parts: string[] = [];
  for await (const chunk of found.read(NEVER, { from: 2, to: 5 })) {
    parts.push(new TextDecoder().decode(chunk));
  }
  assert.equal(parts.join(""), "234");
  for (const path of ["", "dist", "../attempt.json", "dist/../dist/a", "/etc/passwd", "dist/b"]) {
    assert.equal(await reader.find(job, 1, path), undefined, path);
  }
  assert.equal(await reader.list(job, 2), undefined);
  await Deno.remove(`${t.directory.artifacts}/dist/a`);
  await Deno.symlink("/etc/hostname", `${t.directory.artifacts}/dist/a`);
  assert.equal(await reader.find(job, 1, "dist/a"), undefined);
});
