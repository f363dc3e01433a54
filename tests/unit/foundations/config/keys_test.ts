import assert from "node:assert/strict";
import * as v from "valibot";
import { envNameOf, flagNameOf } from "@lib/foundations/config/key.ts";
import { allKeys, allProjectKeys, KEYS } from "@lib/foundations/config/keys.ts";

Deno.test("allKeys() gives each key a variable and a flag of its own", () => {
  const names = [...allKeys().keys()];
  assert.equal(new Set(names.map(envNameOf)).size, names.length);
  assert.equal(new Set(names.map(flagNameOf)).size, names.length);
  assert.equal(names.length, Object.keys(KEYS).length);
});

Deno.test("allKeys() has a doc and a default that passes its own check for each key", () => {
  for (const [name, key] of [...allKeys(), ...allProjectKeys()]) {
    assert.match(key.doc, /\.$/, name);
    if (key.fallback !== undefined) assert.ok(v.is(key.schema, key.fallback), name);
  }
});

Deno.test("envNameOf() and flagNameOf() derive the names in the documents", () => {
  assert.equal(envNameOf("queue.max_running"), "CICD_QUEUE_MAX_RUNNING");
  assert.equal(flagNameOf("queue.max_running"), "--queue-max-running");
});
