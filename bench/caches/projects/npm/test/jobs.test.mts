import assert from "node:assert/strict";
import { test } from "node:test";
import { EDITION } from "../src/edition.mjs";
import { parseJobs } from "../src/jobs.mjs";

test("parseJobs() reads jobs", () => {
  const [job] = parseJobs("- { project: web, script: make, limits: { cpu: 2 } }");
  assert.equal(job?.limits.cpu, 2);
});

test("parseJobs() refuses what is none", () => {
  assert.throws(() => parseJobs(`- { project: ${EDITION} }`));
});
