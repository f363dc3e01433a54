import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import {
  EngineError,
  hasStatus,
  isEngineAway,
  toEngineError,
} from "@lib/foundations/docker/engine_error.ts";

Deno.test("toEngineError() keeps the status and the engine's own words of a refusal", () => {
  const thrown = Object.assign(new Error("(HTTP code 409) unexpected - x"), {
    statusCode: 409,
    json: { message: "name is taken\nby another" },
  });
  const error = toEngineError(thrown, 'create container "x"');
  assert(error instanceof EngineError);
  assert.equal(error.code, "executor_failed");
  assert.equal(error.message, 'Cannot create container "x": name is taken by another');
  assert(hasStatus(error, 404, 409));
  assert(!hasStatus(error, 404));
  assert(!isEngineAway(error));
});

Deno.test("toEngineError() calls an engine away that did not answer", () => {
  const codes = { ECONNREFUSED: /is not running/, EACCES: /may not use/, ECONNRESET: /not answer/ };
  for (const [code, message] of Object.entries(codes)) {
    const error = toEngineError(Object.assign(new Error("x"), { code }), "ask");
    assert(isEngineAway(error), code);
    assert.match(error.message, message);
  }
  assert(isEngineAway(toEngineError(new CicdError("deadline_exceeded", "too late"), "ask")));
  assert(isEngineAway(toEngineError(new Deno.errors.PermissionDenied("x"), "ask")));
});

Deno.test("toEngineError() bounds what an engine says", () => {
  const thrown = Object.assign(new Error("x"), {
    statusCode: 500,
    json: { message: "y".repeat(10_000) },
  });
  assert(toEngineError(thrown, "ask").message.length < 1_000);
});
