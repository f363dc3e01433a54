import assert from "node:assert/strict";
import { ERROR_CODES, type ErrorCode } from "@lib/core/error_codes.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseProblem, problemResponse } from "@lib/foundations/http/problem.ts";

const codes = Object.entries(ERROR_CODES).map(([code, entry]) => ({
  code: Object.keys(ERROR_CODES).find((known): known is ErrorCode => known === code) ??
    assert.fail(code),
  ...entry,
}));

for (const { code, status, title, retryable } of codes) {
  Deno.test(`problemResponse() gives ${code} with its status, title and whether to retry`, async () => {
    const response = problemResponse(new CicdError(code, "Cannot do it: no"));
    assert.equal(response.status, status);
    assert.equal(response.headers.get("content-type"), "application/problem+json");
    const body = await response.json();
    assert.equal(body.type, `urn:cicd-toolkit:problem:${code}`);
    assert.equal(body.code, code);
    assert.equal(body.title, title);
    assert.equal(body.status, status);
    assert.equal(body.retryable, retryable);
    assert.equal(parseProblem(body)?.code, code);
  });
}

Deno.test("problemResponse() gives the fields at fault and when to try again", async () => {
  const issues = [{ path: "limits.memory", message: "is wrong" }];
  const response = problemResponse(
    new CicdError("queue_full", "Full", { issues, retryAfterMs: 1_500 }),
  );
  assert.equal(response.headers.get("retry-after"), "2");
  assert.deepEqual(parseProblem(await response.json())?.issues, issues);
});

Deno.test("problemResponse() gives nothing of the inside of an internal error", async () => {
  const response = problemResponse(new CicdError("internal", "password is hunter2"));
  assert.doesNotMatch(await response.text(), /hunter2/);
});

Deno.test("parseProblem() rejects what is not a problem of the suite", () => {
  for (const value of [null, 1, "x", [], {}, { code: "nope", detail: "x" }, { code: "internal" }]) {
    assert.equal(parseProblem(value), undefined);
  }
});
