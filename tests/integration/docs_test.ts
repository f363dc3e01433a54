import assert from "node:assert/strict";

Deno.test("the generated documentation is fresh", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "tools/docs.ts", "--check"],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
});
