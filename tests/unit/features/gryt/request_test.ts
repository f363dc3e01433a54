import assert from "node:assert/strict";
import * as fc from "fast-check";
import { parseGrytRequest } from "@lib/features/gryt/request.ts";

const whole = { job_id: 123, pipeline_b64: "cHJpbnQoMSk=" };

function read(changes: Record<string, unknown>) {
  const parsed = parseGrytRequest({ ...whole, ...changes });
  assert(parsed.kind === "read", JSON.stringify(parsed));
  return parsed.request;
}

function problems(body: unknown) {
  const parsed = parseGrytRequest(body);
  assert(parsed.kind === "invalid");
  return parsed.detail;
}

Deno.test("parseGrytRequest() reads the request of the README and ignores unknown fields", () => {
  assert.deepEqual(
    read({
      git_url: "https://github.com/user/repo.git",
      git_branch: "main",
      github_token_encrypted: "gAAAA",
      docker_image: "ghcr.io/epyklab/gryt/pipeline:latest",
      env_vars: { FOO: "bar" },
      cpu_limit: "1.0",
      memory_limit: "512m",
      something_new: { a: 1 },
    }),
    {
      jobId: 123,
      pipelineBase64: "cHJpbnQoMSk=",
      gitBranch: "main",
      env: { FOO: "bar" },
      gitUrl: "https://github.com/user/repo.git",
      tokenEncrypted: "gAAAA",
      image: "ghcr.io/epyklab/gryt/pipeline:latest",
      cpuLimit: "1.0",
      memoryLimit: "512m",
    },
  );
});

Deno.test("parseGrytRequest() accepts null for optional fields", () => {
  const nulls = { git_url: null, git_branch: null, env_vars: null, priority: null, timeout: null };
  assert.deepEqual(read(nulls), {
    jobId: 123,
    pipelineBase64: "cHJpbnQoMSk=",
    gitBranch: "main",
    env: {},
  });
});

Deno.test("parseGrytRequest() makes a number of a job id that is text", () => {
  for (
    const [given, id] of [["123", 123], [" +7 ", 7], ["1_000", 1_000], [5.0, 5], ["-3", -3], [
      true,
      1,
    ]]
  ) {
    assert.equal(read({ job_id: given }).jobId, id);
  }
});

Deno.test("parseGrytRequest() reports errors in the formats its clients know", () => {
  assert.deepEqual(problems({}), [
    { type: "missing", loc: ["body", "job_id"], msg: "Field required" },
    { type: "missing", loc: ["body", "pipeline_b64"], msg: "Field required" },
  ]);
  const of = (changes: Record<string, unknown>) => {
    const [first] = problems({ ...whole, ...changes });
    return `${first?.type} ${first?.loc.join(".")}`;
  };
  assert.equal(of({ job_id: "abc" }), "int_parsing body.job_id");
  assert.equal(of({ job_id: 1.5 }), "int_from_float body.job_id");
  assert.equal(of({ job_id: null }), "int_type body.job_id");
  assert.equal(of({ job_id: "9".repeat(20) }), "int_parsing_size body.job_id");
  assert.equal(of({ pipeline_b64: 1 }), "string_type body.pipeline_b64");
  assert.equal(of({ env_vars: { A: 1 } }), "string_type body.env_vars.A");
  assert.equal(of({ env_vars: [] }), "dict_type body.env_vars");
  assert.equal(of({ cpu_limit: 1 }), "string_type body.cpu_limit");
  assert.equal(of({ priority: 10 }), "less_than_equal body.priority");
  assert.equal(of({ timeout: 0 }), "greater_than body.timeout");
  assert.equal(of({ timeout: Infinity }), "finite_number body.timeout");
  assert.equal(of({ artifacts: ["a", 1] }), "string_type body.artifacts.1");
  assert.equal(problems([])[0]?.type, "model_attributes_type");
  assert.equal(problems(null)[0]?.type, "missing");
});

Deno.test("parseGrytRequest() does not send back what may be secret", () => {
  const detail = problems({
    job_id: 1,
    pipeline_b64: ["hunter2"],
    github_token_encrypted: 5,
    env_vars: { A: ["hunter2"] },
  });
  assert.doesNotMatch(JSON.stringify(detail), /hunter2/);
});

Deno.test("parseGrytRequest() reads or rejects any input", () => {
  fc.assert(fc.property(fc.jsonValue(), (body) => void parseGrytRequest(body)));
});
