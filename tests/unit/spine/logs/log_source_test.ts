import assert from "node:assert/strict";
import { cappedLine, parseCapped } from "@lib/spine/logs/log_source.ts";

Deno.test("cappedLine() names the limit and how much is missing", () => {
  assert.equal(
    cappedLine(64 * 1024 * 1024, 1_234_567),
    "[cicd-toolkit] log limit 64M reached: at least 1234567 bytes dropped\n",
  );
  assert.equal(
    cappedLine(1024, 0),
    "[cicd-toolkit] log limit 1K reached: further bytes dropped\n",
  );
});

Deno.test("parseCapped() treats a damaged count as unknown", () => {
  assert.equal(parseCapped("17\n"), 17);
  for (const text of ["", "-1\n", "1e9\n", "9".repeat(40), "17\n18\n"]) {
    assert.equal(parseCapped(text), 0);
  }
});
