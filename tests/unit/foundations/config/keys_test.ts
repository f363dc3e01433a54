import assert from "node:assert/strict";
import * as v from "valibot";
import { catalogOf } from "@lib/foundations/config/config.ts";
import { envNameOf, flagNameOf } from "@lib/foundations/config/key.ts";
import { SECTIONS } from "../../../../cmd/shared/config_sections.ts";

const { keys, projectKeys } = catalogOf(SECTIONS);

Deno.test("catalogOf() gives each key a variable and a flag of its own", () => {
  const names = [...keys.keys()];
  assert.equal(new Set(names.map(envNameOf)).size, names.length);
  assert.equal(new Set(names.map(flagNameOf)).size, names.length);
});

Deno.test("catalogOf() has every key once", () => {
  const count = (pick: "keys" | "projectKeys") =>
    SECTIONS.map((section) => catalogOf([section])[pick].size).reduce((a, b) => a + b, 0);
  assert.equal(count("keys"), keys.size);
  assert.equal(count("projectKeys"), projectKeys.size);
});

Deno.test("catalogOf() has a doc and a default that passes its own check for each key", () => {
  for (const [name, key] of [...keys, ...projectKeys]) {
    assert.match(key.doc, /\.$/, name);
    const { fallback, text: fallbackText } = key;
    if (typeof fallback === "function") assert.ok(fallbackText !== undefined, name);
    else if (fallback !== undefined) assert.ok(v.is(key.schema, fallback), name);
  }
});

Deno.test("envNameOf() and flagNameOf() derive the names in the documents", () => {
  assert.equal(envNameOf("queue.max_running"), "CICD_QUEUE_MAX_RUNNING");
  assert.equal(flagNameOf("queue.max_running"), "--queue-max-running");
});
