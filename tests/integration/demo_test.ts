import assert from "node:assert/strict";

Deno.test("the demo runs a real job, shows its log and result, and leaves nothing behind", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cicd-demo-test-" });
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", "tools/demo.ts"],
      env: { TMPDIR: directory, NO_COLOR: "1" },
    }).output();
    const log = new TextDecoder().decode(stdout);
    const said = new TextDecoder().decode(stderr);
    assert.equal(code, 0, said);
    assert.match(log, /^Job [0-9a-f-]{36}, attempt 1, in /);
    assert.match(log, /== test\n {3}test: part 1 of 3 done\n/);
    assert.match(log, /counted to 200000, token is \*{42}\n$/);
    assert.match(said, /succeeded/);
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
