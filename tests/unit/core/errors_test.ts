import assert from "node:assert/strict";
import { ERROR_CODES } from "@lib/core/error_codes.ts";
import { CicdError, ignore, messageOf, toCicdError } from "@lib/core/errors.ts";

Deno.test("CicdError carries what hangs on its code, its cause and its issues", () => {
  const cause = new Error("ENOSPC");
  const issues = [{ path: "env.A", message: "is empty" }];
  const error = new CicdError("disk_full", "Cannot write row", {
    cause,
    issues,
    retryAfterMs: 5_000,
  });
  assert.equal(error.entry, ERROR_CODES.disk_full);
  assert.equal(error.cause, cause);
  assert.deepEqual(error.issues, issues);
  assert.equal(error.retryAfterMs, 5_000);
  assert.ok(!("cause" in new CicdError("usage", "x")));
});

Deno.test("toCicdError() does not call a defect what the machine refuses", () => {
  const cause = Object.assign(new Error("Permission denied: open '/x'"), { code: "EACCES" });
  const error = toCicdError(cause);
  assert.equal(error.code, "io_failed");
  assert.equal(error.cause, cause);
  assert.match(error.message, /Permission denied: open '\/x'/);
  assert.equal(toCicdError(Object.assign(new Error("x"), { code: "ENOENT" })).code, "internal");
});

Deno.test("toCicdError() keeps one and wraps the rest as a defect", () => {
  const error = new CicdError("not_found", "x");
  assert.equal(toCicdError(error), error);
  const wrapped = toCicdError("text");
  assert.equal(wrapped.code, "internal");
  assert.equal(wrapped.message, "Unexpected failure: text");
  assert.equal(wrapped.cause, "text");
});

Deno.test("messageOf() accepts anything thrown", () => {
  assert.equal(messageOf(new TypeError("a")), "a");
  assert.equal(messageOf(undefined), "undefined");
  assert.equal(messageOf({ toString: () => "b" }), "b");
});

Deno.test("ignore() absorbs a rejection", async () => {
  await Promise.reject(new Error("gone")).catch(ignore("it is gone already"));
});

Deno.test("ERROR_CODES have statuses of errors and exit codes of their own", () => {
  for (const [code, { status, exitCode, title }] of Object.entries(ERROR_CODES)) {
    assert.ok(status >= 400 && status <= 599, code);
    assert.ok(exitCode >= 64 && exitCode <= 78, code);
    assert.match(title, /^[A-Z].*[^.]$/, code);
  }
});
