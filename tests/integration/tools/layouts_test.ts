import assert from "node:assert/strict";

const ROOT = new URL("../../../", import.meta.url).pathname;

Deno.test("deno task bench:layouts measures what can be built here, and says what cannot", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", `${ROOT}bench/layouts/main.ts`, "--rounds=1"],
    env: { DENORT_BIN: "/nonexistent/denort" },
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.match(text, /^\| shared-runtime \|( +\d+\.\d MB \|){2}( +\d+ ms \|){4} +\d+ MiB \|$/m);
  assert.match(
    text,
    /^SKIPPED executable: DENORT_BIN names "\/nonexistent\/denort", which does not/m,
  );
});
