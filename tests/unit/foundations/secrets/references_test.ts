import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { parseSecretReference, resolveSecret } from "@lib/foundations/secrets/references.ts";

const field = "api.key";
const env = (name: string) => ({ TOKEN: "hunter2", EMPTY: "" })[name];

function isInvalid(error: unknown): boolean {
  return error instanceof CicdError && error.code === "invalid_config" &&
    error.message.includes(`"${field}"`) && error.issues[0]?.path === field &&
    !Deno.inspect(error).includes("hunter2");
}

Deno.test("parseSecretReference() distinguishes the four kinds", () => {
  assert.deepEqual(parseSecretReference("file:/a/b", { field }), { kind: "file", path: "/a/b" });
  assert.deepEqual(parseSecretReference("credential:api-key", { field }), {
    kind: "credential",
    name: "api-key",
  });
  assert.deepEqual(parseSecretReference("env:TOKEN", { field }), { kind: "env", name: "TOKEN" });
  const literal = parseSecretReference("hunter2:file:/x", { field });
  assert.equal(literal.kind === "literal" && literal.value.expose(), "hunter2:file:/x");
});

Deno.test("parseSecretReference() refuses what it cannot follow, naming the field", () => {
  const texts = ["file:", "file:a/b", "file:~/hunter2", "credential:", "credential:../x"];
  for (const text of [...texts, "credential:.x", "credential:a/b", "env:", "env:A-B", "env:1"]) {
    assert.throws(() => parseSecretReference(text, { field }), isInvalid);
  }
});

Deno.test("resolveSecret() reads the environment and literals", () => {
  assert.equal(resolveSecret("env:TOKEN", { field, env }).expose(), "hunter2");
  assert.equal(resolveSecret("plain", { field, env }).expose(), "plain");
});

Deno.test("resolveSecret() refuses what is not set", () => {
  for (const text of ["", "env:NONE", "env:EMPTY", "credential:api-key"]) {
    assert.throws(() => resolveSecret(text, { field, env }), isInvalid);
  }
});
