import assert from "node:assert/strict";
import { parseFernetKey } from "@lib/features/gryt/fernet.ts";
import { toJobBody } from "@lib/features/gryt/job_spec.ts";
import type { GrytRequest } from "@lib/features/gryt/request.ts";
import { projectName } from "../../../support/job_fixtures.ts";

const KEY = "-_---_---_---_---_---_---_---_---_---_---_8=";
const TOKEN =
  "gAAAAABlU_EAvCFJ5PPw0Ioy01_5LKylcBUIGLWR8J1ZYmKs97Qc3dXIrVlt75DmmYPGmUaj0SF7LiK3X-qDM_tyoH3Ff7VVIg==";
const options = {
  project: projectName("gryt"),
  image: "example.org/default",
  timeoutMs: 90_000,
  encryptionKey: parseFernetKey(KEY, { field: "key" }),
};
const request: GrytRequest = { jobId: 7, pipelineBase64: "AAEC/w==", gitBranch: "main", env: {} };

function body(changes: Partial<GrytRequest>, open = options) {
  const made = toJobBody({ ...request, ...changes }, open);
  assert(made.kind === "ready", JSON.stringify(made));
  return made.body;
}

function message(changes: Partial<GrytRequest>, open: Parameters<typeof toJobBody>[1] = options) {
  const made = toJobBody({ ...request, ...changes }, open);
  assert(made.kind === "failed");
  return made.message;
}

Deno.test("toJobBody() runs the pipeline as Gryt's agent does", () => {
  assert.deepEqual(body({ env: { FOO: "bar" } }), {
    project: "gryt",
    image: "example.org/default",
    command: ["gryt", "run", "pipeline.py"],
    container: { entrypoint: "image" },
    files: { "pipeline.py": { base64: "AAEC/w==" }, ".gryt/": "" },
    env: { GRYT_WORKSPACE: "/workspace", FOO: "bar" },
    limits: {},
    timeout: 90,
    output: "split",
    labels: { "gryt.job_id": "7" },
  });
});

Deno.test("toJobBody() accepts base64 with line breaks and rejects anything else", () => {
  assert.deepEqual(body({ pipelineBase64: "AAE\nC/w==\n" })["files"], {
    "pipeline.py": { base64: "AAEC/w==" },
    ".gryt/": "",
  });
  for (const pipelineBase64 of ["hunter2!", "AAE", "====", "AAEC/w==" + "A"]) {
    assert.match(message({ pipelineBase64 }), /^Cannot decode pipeline_b64/);
    assert.doesNotMatch(message({ pipelineBase64 }), /hunter2/);
  }
});

Deno.test("toJobBody() reads limits as docker writes them", () => {
  const limits = (cpuLimit: string, memoryLimit: string) =>
    body({ cpuLimit, memoryLimit })["limits"];
  assert.deepEqual(limits("1.0", "512m"), { cpu: 1, memory: 512 * 1024 ** 2 });
  assert.deepEqual(limits("0.5", "2g"), { cpu: 0.5, memory: 2 * 1024 ** 3 });
  assert.deepEqual(limits("0", "0"), {});
  assert.match(message({ cpuLimit: "many" }), /cpu_limit/);
  assert.match(message({ memoryLimit: "-1" }), /memory_limit/);
});

Deno.test("toJobBody() gives the token to the checkout alone", () => {
  const made = body({
    gitUrl: "https://example.org/r.git",
    gitBranch: "dev",
    tokenEncrypted: TOKEN,
  });
  assert.deepEqual(made["git"], {
    url: "https://example.org/r.git",
    ref: "dev",
    depth: 1,
    token_secret: "GRYT_REPOSITORY_TOKEN",
  });
  assert.deepEqual(made["secrets"], { GRYT_REPOSITORY_TOKEN: "ghp_example" });
  assert.deepEqual(made["env"], { GRYT_WORKSPACE: "/workspace" });
  assert.equal("secrets" in body({ tokenEncrypted: TOKEN }), false);
});

Deno.test("toJobBody() fails the job whose token cannot be opened, without showing it", () => {
  const gitUrl = "https://example.org/r.git";
  assert.match(
    message({ gitUrl, tokenEncrypted: "hunter2" }),
    /^Cannot decrypt github_token_encrypted/,
  );
  assert.doesNotMatch(message({ gitUrl, tokenEncrypted: "hunter2" }), /hunter2/);
  const { encryptionKey: _, ...keyless } = options;
  assert.match(
    message({ gitUrl, tokenEncrypted: TOKEN }, keyless),
    /GRYT_ENCRYPTION_KEY is not set/,
  );
});

Deno.test("toJobBody() passes on priority, timeout and artifacts", () => {
  const made = body({ priority: 9, timeoutMs: 1_500, artifacts: ["dist/*"] });
  assert.equal(made["priority"], 9);
  assert.equal(made["timeout"], 1.5);
  assert.deepEqual(made["artifacts"], { paths: ["dist/*"], when: "always" });
});
