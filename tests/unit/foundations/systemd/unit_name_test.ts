import assert from "node:assert/strict";
import fc from "fast-check";
import { newJobId, parseProjectName } from "@lib/core/ids.ts";
import {
  agentServiceName,
  agentSocketName,
  escapeUnitName,
  jobUnitName,
  parseAgentUnitName,
  parseJobUnitName,
  parseProjectSliceName,
  parseUnitName,
  projectSliceName,
  unescapeUnitName,
} from "@lib/foundations/systemd/unit_name.ts";

function project(name: string) {
  const parsed = parseProjectName(name);
  assert(parsed !== undefined);
  return parsed;
}

Deno.test("escapeUnitName() agrees with systemd-escape", () => {
  for (
    const [text, escaped] of [
      ["web-app", "web\\x2dapp"],
      ["a/b", "a-b"],
      [".hidden", "\\x2ehidden"],
      ["v1.2_x:y", "v1.2_x:y"],
      ["é @\\", "\\xc3\\xa9\\x20\\x40\\x5c"],
      ["", ""],
    ] as const
  ) {
    assert.equal(escapeUnitName(text), escaped);
  }
});

Deno.test("unescapeUnitName() reverts escapeUnitName() for any text", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    assert.equal(unescapeUnitName(escapeUnitName(text)), text);
  }));
});

Deno.test("unescapeUnitName() refuses broken escapes and bytes that are no UTF-8", () => {
  for (const bad of ["\\", "\\x2", "\\y2d", "\\xff"]) {
    assert.equal(unescapeUnitName(bad), undefined);
  }
});

Deno.test("jobUnitName() and parseJobUnitName() are each other's inverse", () => {
  const attempt = { jobId: newJobId(), number: 3 };
  const name = jobUnitName(attempt);
  assert.deepEqual(parseJobUnitName(name), attempt);
  assert.equal(parseUnitName(name), name);
});

Deno.test("parseJobUnitName() refuses every other name", () => {
  const id = newJobId();
  for (const tail of ["-0.service", "-01.service", "-1.slice", ".service", "--1.service"]) {
    assert.equal(parseJobUnitName(`cicd-job-${id}${tail}`), undefined);
  }
  assert.equal(parseJobUnitName("cicd-job-x-1.service"), undefined);
});

Deno.test("projectSliceName() never nests, and leads back to its project", () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,20}(\.[a-z0-9-]{1,5})?$/);
  fc.assert(fc.property(name, (text) => {
    const slice = projectSliceName(project(text));
    assert.equal(slice.split("-").length, 2);
    assert.equal(parseProjectSliceName(slice), text);
    assert.equal(parseUnitName(slice), slice);
  }));
});

Deno.test("parseProjectSliceName() refuses nested slices and the suite's own", () => {
  assert.equal(parseProjectSliceName("cicd-a-b.slice"), undefined);
  assert.equal(parseProjectSliceName("cicd.slice"), undefined);
});

Deno.test("agent unit names keep the project readable and lead back to it", () => {
  const web = project("web-app");
  assert.equal(agentServiceName(web), "cicd-agent@web-app.service");
  assert.equal(parseAgentUnitName(agentServiceName(web)), "web-app");
  assert.equal(parseAgentUnitName(agentSocketName(web)), "web-app");
  assert.equal(parseAgentUnitName("cicd-agent@../x.service"), undefined);
});

Deno.test("parseUnitName() refuses what is no unit's name", () => {
  for (
    const bad of ["", "x", ".service", "a b.service", "a/b.service", "@a.service", "é.service"]
  ) {
    assert.equal(parseUnitName(bad), undefined, bad);
  }
  assert.equal(parseUnitName(`${"x".repeat(248)}.service`), undefined);
});
