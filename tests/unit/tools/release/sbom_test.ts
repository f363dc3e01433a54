import assert from "node:assert/strict";
import { formatSbom, parseLock } from "../../../../tools/release/sbom.ts";

const integrity = (byte: string) => `sha512-${Uint8Array.fromHex(byte.repeat(64)).toBase64()}`;

/** A program imports "top", which needs "@scope/base" with a peer; a test imports "tester". */
const LOCK = JSON.stringify({
  version: "5",
  specifiers: {
    "npm:top@1.0.0": "1.0.0_@scope+base@2.1.0",
    "npm:tester@3.0.0": "3.0.0",
  },
  npm: {
    "@scope/base@2.1.0": { integrity: integrity("0a") },
    "tester@3.0.0": { integrity: integrity("0b"), dependencies: ["top"] },
    "top@1.0.0_@scope+base@2.1.0": {
      integrity: integrity("0c"),
      dependencies: ["@scope/base", "tester"],
      optionalPeers: ["tester"],
      optionalDependencies: ["@scope/base@2.1.0"],
    },
  },
});

const OPTIONS = {
  version: "0.1.0",
  date: "2026-01-02T03:04:05.000Z",
  license: "MIT",
  runtimeVersion: "2.9.6",
  locked: parseLock(LOCK),
  licenses: new Map([["@scope/base@2.1.0", "(MIT OR CC0-1.0)"], [
    "tester@3.0.0",
    "SEE LICENSE IN file",
  ]]),
  bundled: [{ name: "top", version: "1.0.0" }, { name: "@scope/base", version: "2.1.0" }],
};

Deno.test("formatSbom() lists a package by URL, hash and licence", () => {
  const bom = JSON.parse(formatSbom(OPTIONS));
  assert.deepEqual([bom.bomFormat, bom.specVersion], ["CycloneDX", "1.6"]);
  assert.deepEqual(
    bom.components.find(({ name }: { name: string }) => name === "@scope/base"),
    {
      type: "library",
      "bom-ref": "pkg:npm/%40scope/base@2.1.0",
      name: "@scope/base",
      version: "2.1.0",
      scope: "required",
      hashes: [{ alg: "SHA-512", content: "0a".repeat(64) }],
      licenses: [{ expression: "(MIT OR CC0-1.0)" }],
      purl: "pkg:npm/%40scope/base@2.1.0",
    },
  );
});

Deno.test("formatSbom() says what is in the programs, and what only tests and tools need", () => {
  const bom = JSON.parse(formatSbom(OPTIONS));
  const scopes = bom.components.map((
    each: Record<string, unknown>,
  ) => [each["name"], each["scope"]]);
  assert.deepEqual(scopes, [
    ["deno", "required"],
    ["@scope/base", "required"],
    ["tester", "excluded"],
    ["top", "required"],
  ]);
});

Deno.test("formatSbom() refers only to components that are there", () => {
  const bom = JSON.parse(formatSbom(OPTIONS));
  const refs = new Set([
    bom.metadata.component["bom-ref"],
    ...bom.components.map((each: Record<string, unknown>) => each["bom-ref"]),
  ]);
  for (const { ref, dependsOn } of bom.dependencies) {
    for (const each of [ref, ...dependsOn]) assert.ok(refs.has(each), each);
    assert.equal(new Set(dependsOn).size, dependsOn.length);
  }
  // What is imported and in the programs.
  const [{ dependsOn }] = bom.dependencies;
  assert.deepEqual(dependsOn, ["pkg:github/denoland/deno@v2.9.6", "pkg:npm/top@1.0.0"]);
});

Deno.test("formatSbom() names a licence that is no SPDX expression, and leaves out an unknown one", () => {
  const bom = JSON.parse(formatSbom(OPTIONS));
  const licenses = bom.components.map((each: Record<string, unknown>) => each["licenses"]);
  assert.deepEqual(licenses.slice(2), [[{ license: { name: "SEE LICENSE IN file" } }], undefined]);
});

Deno.test("parseLock() refuses what it cannot describe", () => {
  const lock = (npm: unknown) => JSON.stringify({ specifiers: {}, npm });
  assert.throws(() => parseLock(lock({ "a@1.0.0": { integrity: "sha1-x" } })), /not a SHA-512/);
  assert.throws(
    () => parseLock(lock({ "a@1.0.0": { integrity: integrity("00"), dependencies: ["b"] } })),
    /it has no "b"/,
  );
});
