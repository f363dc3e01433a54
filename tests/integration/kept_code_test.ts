import assert from "node:assert/strict";

const MODULE = new URL("../../cmd/shared/kept_code.ts", import.meta.url).href;
const SOURCE = `"use strict";(async(meta)=>{
  const once = () => "first run";
  const later = () => { ${"meta.n = (meta.n ?? 0) + 1;".repeat(300)} return "with a job"; };
  return { say: () => meta.job ? once() + " " + later() : once() };
})`;

Deno.test("loadPart() takes the code that an earlier run has kept, which keepCode() writes once", async () => {
  await using it = await setup();
  assert.deepEqual(await it.run(), { said: "first run", kept: 1 });
  const before = await it.stat();
  assert.equal(before.mode === null ? 0 : before.mode & 0o777, 0o600);
  // Nothing was compiled that is not kept.
  assert.deepEqual(await it.run(), { said: "first run", kept: 1 });
  assert.equal((await it.stat()).ino, before.ino);
});

Deno.test("keepCode() keeps more once the program has done more", async () => {
  await using it = await setup();
  await it.run();
  const before = await it.stat();
  assert.equal((await it.run({ job: true })).said, "first run with a job");
  const after = await it.stat();
  assert.ok(after.size > before.size);
  await it.run();
  assert.equal((await it.stat()).ino, after.ino);
});

Deno.test("keepCode() keeps at an exit only what was not kept at all", async () => {
  await using it = await setup();
  assert.equal((await it.run({ isExit: true })).kept, 1);
  const before = await it.stat();
  await it.run({ isExit: true, job: true });
  assert.equal((await it.stat()).ino, before.ino);
});

Deno.test("loadPart() executes no damaged code, and has it replaced", async () => {
  await using it = await setup();
  await it.run();
  const whole = await Deno.readFile(it.kept);
  for (
    const damage of [
      whole.map((byte, at) => at === whole.length >> 1 ? byte ^ 1 : byte),
      whole.subarray(0, whole.length - 8),
      new Uint8Array(0),
      new Uint8Array(whole.length),
    ]
  ) {
    await Deno.writeFile(it.kept, damage);
    assert.deepEqual(await it.run(), { said: "first run", kept: 1 });
    const after = await Deno.readFile(it.kept);
    assert.equal(after.length, whole.length);
    assert.notDeepEqual(after, damage);
  }
});

Deno.test("keepCode() keeps no half of a draft that another program has removed meanwhile", async () => {
  await using it = await setup();
  const before = `const { writeFileSync } = Deno;
    Deno.writeFileSync = (path, ...rest) => {
      Deno.writeFileSync = writeFileSync;
      writeFileSync(path, ...rest);
      Deno.removeSync(path);
    };`;
  assert.deepEqual(await it.run({ before }), { said: "first run", kept: 0 });
  assert.deepEqual(await it.run(), { said: "first run", kept: 1 });
});

Deno.test("loadPart() does not wait for a FIFO in place of kept code", async () => {
  await using it = await setup();
  await new Deno.Command("mkfifo", { args: [it.kept] }).output();
  assert.equal((await it.run()).said, "first run");
  assert.ok((await it.stat()).isFile);
});

Deno.test("loadPart() does not take the code of other flags", async () => {
  await using it = await setup();
  await it.run();
  const before = await it.stat();
  assert.equal((await it.run({ flags: ["--v8-flags=--no-sparkplug"] })).said, "first run");
  assert.notEqual((await it.stat()).ino, before.ino);
});

Deno.test("keepCode() removes what other releases kept, and drafts", async () => {
  await using it = await setup();
  const old = ["part-000000000000.part_cache_v1", "part-abcdefabcdef.part_cache_v1.77"];
  for (const name of [...old, "other-000000000000.part_cache_v1"]) {
    await Deno.writeTextFile(`${it.cache}/${name}`, "");
  }
  assert.equal((await it.run()).kept, 2);
  for (const name of old) await assert.rejects(Deno.stat(`${it.cache}/${name}`));
});

Deno.test("loadPart() runs without a directory to keep code in", async () => {
  await using it = await setup();
  assert.deepEqual(await it.run({ cache: "/dev/null/cicd-toolkit" }), {
    said: "first run",
    kept: 0,
  });
});

async function setup() {
  const directory = await Deno.makeTempDir({ prefix: "kept-" });
  const cache = `${directory}/cache`;
  const path = `${directory}/part-123456789abc.part`;
  await Deno.mkdir(cache);
  await Deno.writeTextFile(path, SOURCE);
  const kept = `${cache}/part-123456789abc.part_cache_v1`;
  return {
    cache,
    kept,
    stat: () => Deno.lstat(kept),
    /** Runs the part in a process of its own, which keeps its code. */
    async run(
      { job = false, isExit = false, flags = [], cache: used = cache, before = "" }: {
        readonly job?: boolean;
        readonly isExit?: boolean;
        readonly flags?: readonly string[];
        readonly cache?: string;
        /** Runs first. */
        readonly before?: string;
      } = {},
    ) {
      const program = `import { keepCode, loadPart } from "${MODULE}";
        ${before}
        const { say } = await loadPart({ path: "${path}", given: [{ job: ${job} }] });
        console.log(say());
        for (const _ of [1, 2]) keepCode({ isExit: ${isExit} });`;
      const entry = `${directory}/main.ts`;
      await Deno.writeTextFile(entry, program);
      const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-all", "--no-check", "--no-config", ...flags, entry],
        env: { DENO_DIR: used },
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      const names = Array.from(Deno.readDirSync(cache), ({ name }) => name);
      return {
        said: new TextDecoder().decode(stdout).trim(),
        kept: names.filter((name) => name.includes(".part_cache_v1")).length,
      };
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(directory, { recursive: true });
    },
  };
}
