import assert from "node:assert/strict";
import { isUnheard } from "@lib/foundations/http/socket_path.ts";

Deno.test("isUnheard() knows a listener that closed before it accepted the connection", () => {
  const failed = (code: string) => Object.assign(new Error(`connect ${code}`), { code });
  assert.equal(isUnheard(failed("ENOENT")), true);
  assert.equal(isUnheard(failed("ECONNREFUSED")), true);
  assert.equal(isUnheard(failed("ECONNRESET")), true);
  // A full backlog belongs to a busy process.
  assert.equal(isUnheard(failed("EAGAIN")), false);
  assert.equal(isUnheard(new Error("unknown")), false);
});
