import assert from "node:assert/strict";

const ROOT = new URL("../../../", import.meta.url).pathname;

Deno.test("the compiled suite says why it is skipped, and counts as skipped", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${ROOT}tools/test.ts`, "compiled"],
    env: { DENORT_BIN: "/nonexistent/denort" },
    stdin: "null",
  }).output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assert.ok(
    lines.includes(
      'SKIPPED compiled suite: DENORT_BIN names "/nonexistent/denort", which does not exist',
    ),
    lines.join("\n"),
  );
  assert.equal(lines.at(-1), "0 passed, 0 failed, 1 skipped");
  assert.equal(code, 0);
});
