import assert from "node:assert/strict";
import fc from "fast-check";
import { newJobId, parseProjectName } from "@lib/core/ids.ts";
import {
  agentServiceName,
  agentSocketName,
  jobUnitName,
  parseUnitName,
  projectSliceName,
} from "@lib/foundations/systemd/unit_name.ts";

function project(name: string) {
  const parsed = parseProjectName(name);
  assert(parsed !== undefined);
  return parsed;
}

Deno.test("jobUnitName() is the unit of one attempt", () => {
  const jobId = newJobId();
  const name = jobUnitName({ jobId, number: 3 });
  assert.equal(name, `cicd-job-${jobId}-3.service`);
  assert.equal(parseUnitName(name), name);
});

Deno.test("projectSliceName() escapes as systemd-escape does", () => {
  for (
    const [text, slice] of [
      ["web-app", "cicd-web\\x2dapp.slice"],
      ["v1.2_x", "cicd-v1.2_x.slice"],
    ] as const
  ) {
    assert.equal(projectSliceName(project(text)), slice);
  }
});

Deno.test("projectSliceName() never nests, and distinguishes projects", () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,20}(\.[a-z0-9-]{1,5})?$/);
  fc.assert(fc.property(name, (text) => {
    const slice = projectSliceName(project(text));
    assert.equal(slice.split("-").length, 2);
    assert.equal(slice.slice("cicd-".length, -".slice".length).replaceAll("\\x2d", "-"), text);
    assert.equal(parseUnitName(slice), slice);
  }));
});

Deno.test("agent unit names keep the project readable", () => {
  const web = project("web-app");
  assert.equal(agentServiceName(web), "cicd-agent@web-app.service");
  assert.equal(agentSocketName(web), "cicd-agent@web-app.socket");
});

Deno.test("parseUnitName() rejects an invalid unit name", () => {
  for (
    const bad of ["", "x", ".service", "a b.service", "a/b.service", "@a.service", "é.service"]
  ) {
    assert.equal(parseUnitName(bad), undefined, bad);
  }
  assert.equal(parseUnitName(`${"x".repeat(248)}.service`), undefined);
});
