import assert from "node:assert/strict";
import { newJobId, parseProjectName } from "@lib/core/ids.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { jobUnitProperties, splitEnvironment } from "@lib/spine/executors/unit_properties.ts";
import { makeSpec } from "../../../support/job_fixtures.ts";

function request(overrides: Partial<JobSpec> = {}, env: Record<string, string> = {}) {
  const project = parseProjectName("web-app");
  assert(project !== undefined);
  const ref = { project, jobId: newJobId(), number: 2 };
  const spec = makeSpec({
    project,
    work: { kind: "command", argv: ["make"] },
    graceMs: 10_000,
    ...overrides,
  });
  const made: AttemptRequest = {
    ref,
    spec,
    env,
    secrets: new Map([["TOKEN", "s3cret"]]),
    directory: attemptDirectory("/state", ref),
  };
  return made;
}

function properties(made: AttemptRequest) {
  const list = jobUnitProperties(made, {
    workdir: "/work",
    argv: ["/usr/bin/make", "all"],
    environment: splitEnvironment(made).environment,
    environmentFile: "/run/secrets.env",
    managerEnvironment: ["LANG", "PATH"],
    runtimeDir: "/run/user/1000",
    recorder: "/run/user/1000/record.sh",
  });
  return new Map(list.map(({ name, value }) => [name, value.value]));
}

Deno.test("jobUnitProperties() sets each property once", () => {
  const made = request();
  const list = jobUnitProperties(made, {
    workdir: "/work",
    argv: ["/usr/bin/make"],
    environment: {},
    managerEnvironment: [],
    runtimeDir: "/run/user/1000",
    recorder: "/r.sh",
  });
  assert.equal(new Set(list.map(({ name }) => name)).size, list.length);
});

Deno.test("jobUnitProperties() takes every inherited variable away but the job's own", () => {
  const made = request({}, { PATH: "/bin", LOG_NAMESPACE: "own" });
  const unset = properties(made).get("UnsetEnvironment");
  assert(Array.isArray(unset));
  assert(unset.includes("LANG"));
  assert(unset.includes("INVOCATION_ID"));
  assert(!unset.includes("PATH"));
  assert(!unset.includes("LOG_NAMESPACE"));
});

Deno.test("jobUnitProperties() asserts that neither log nor record exists", () => {
  const made = request({ output: "split" });
  const asserted = JSON.stringify(properties(made).get("Asserts"));
  for (
    const path of [
      made.directory.logFile("stdout"),
      made.directory.logFile("stderr"),
      made.directory.resultFile,
      made.directory.fenceFile,
    ]
  ) assert(asserted.includes(path));
});

Deno.test("jobUnitProperties() never gives the recorder less than its time", () => {
  assert.equal(properties(request({ graceMs: 10 })).get("TimeoutStopUSec"), 2_000_000n);
  const none = properties(request({ graceMs: 0 }));
  assert.equal(none.get("TimeoutStopUSec"), 2_000_000n);
  assert.equal(none.get("KillSignal"), 9);
  assert.equal(properties(request({ graceMs: 90_000 })).get("TimeoutStopUSec"), 90_000_000n);
});

Deno.test("jobUnitProperties() allows no swap beside a memory limit", () => {
  const limited = properties(request({ limits: { memoryBytes: 4_096, cpu: 0.5, tasks: 7 } }));
  assert.equal(limited.get("MemoryMax"), 4_096n);
  assert.equal(limited.get("MemorySwapMax"), 0n);
  assert.equal(limited.get("CPUQuotaPerSecUSec"), 500_000n);
  assert.equal(limited.get("TasksMax"), 7n);
  assert(!properties(request()).has("MemoryMax"));
});

Deno.test("jobUnitProperties() keeps secrets out of the unit", () => {
  const described = [...properties(request({}, { A: "b" })).values()];
  assert(!JSON.stringify(described, (_key, value) => `${value}`).includes("s3cret"));
});

Deno.test("splitEnvironment() keeps what says how the job ended from the recorder", () => {
  const made = request({}, { EXIT_CODE: "mine", A: "b" });
  assert.deepEqual(splitEnvironment(made).environment, { A: "b" });
  const start = JSON.stringify(properties(made).get("ExecStart"));
  assert(start.includes("EXIT_CODE=mine"));
  const secrets = new Map([["SERVICE_RESULT", "success"]]);
  assert.throws(() => splitEnvironment({ env: {}, secrets }), RangeError);
});

Deno.test("splitEnvironment() lets a secret win over a variable of its name", () => {
  const secrets = new Map([["A", "secret"]]);
  const { environment, file } = splitEnvironment({ env: { A: "plain", B: "b" }, secrets });
  assert.deepEqual(environment, { B: "b" });
  assert.deepEqual(file, [["A", "secret"]]);
});

Deno.test("splitEnvironment() sends a large environment through the file", () => {
  const env = { BIG: "x".repeat(100_000) };
  const { environment, file } = splitEnvironment({ env, secrets: new Map() });
  assert.deepEqual(environment, {});
  assert.deepEqual(file, [["BIG", env.BIG]]);
});
