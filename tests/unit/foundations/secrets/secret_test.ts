import assert from "node:assert/strict";
import { inspect } from "node:util";
import { Secret } from "@lib/foundations/secrets/secret.ts";

Deno.test("Secret shows itself in no way but expose()", () => {
  const secret = new Secret("hunter2");
  const shown = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    Deno.inspect({ secret }),
    inspect({ secret }),
    Object.keys(secret).join(),
  ].join(" ");
  assert.ok(!shown.includes("hunter2"));
  assert.equal(JSON.stringify({ secret }), '{"secret":"[secret]"}');
  assert.equal(secret.expose(), "hunter2");
});
