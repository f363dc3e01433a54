import assert from "node:assert/strict";
import * as fc from "fast-check";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";
import { parseJobRequest, type RequestDefaults } from "@lib/spine/spec/job_request.ts";
import { scriptArgv } from "@lib/spine/spec/script.ts";
import { SCRIPT_MAX_BYTES } from "@lib/spine/spec/rules.ts";

const defaults: RequestDefaults = {
  shell: "/bin/sh",
  env: { FROM_PROJECT: "1" },
  limits: { tasks: 64 },
  timeoutMs: 60_000,
  graceMs: 5_000,
  priority: 5,
  logMaxBytes: 1_000,
  pull: "missing",
  network: "bridge",
  rules: {
    containers: { allow: [], mounts: [], networks: [], images: [], network: "bridge" },
    git: { schemes: ["https"] },
  },
};

function parse(body: unknown) {
  return parseJobRequest(body, () => defaults);
}

function issues(body: unknown): readonly FieldIssue[] {
  try {
    parse(body);
  } catch (error) {
    assert(error instanceof CicdError, `another throw: ${error}`);
    assert.equal(error.code, "invalid_request");
    assert(error.message.includes(error.issues[0]?.message ?? "?"));
    return error.issues;
  }
  return assert.fail("it was accepted");
}

const numbered = (count: number) => Array.from({ length: count }, (_, at) => `S${at}`);
const job = { project: "web", script: "true" };

Deno.test("parseJobRequest() fills in the defaults of the project", () => {
  const { spec, secrets } = parse({ project: "web", script: "true" });
  assert.deepEqual(spec, {
    project: "web",
    work: { kind: "script", text: "true", shell: "/bin/sh", errexit: true },
    env: { FROM_PROJECT: "1" },
    secretNames: [],
    limits: { tasks: 64 },
    timeoutMs: 60_000,
    graceMs: 5_000,
    priority: 5,
    cancelInProgress: false,
    retries: { max: 0, on: ["failed", "timed_out", "lost"], delayMs: 0 },
    output: "merged",
    logMaxBytes: 1_000,
    labels: {},
  });
  assert.deepEqual(secrets, {});
});

Deno.test("parseJobRequest() runs a script by its #! line, or a shell with errexit", () => {
  const argv = (request: object) => {
    const { work } = parse({ project: "web", ...request }).spec;
    return work.kind === "script" ? scriptArgv(work, "FILE") : assert.fail();
  };
  for (
    const [script, more, expected] of [
      ["make", {}, ["/bin/sh", "-e", "FILE"]],
      ["make", { errexit: false }, ["/bin/sh", "FILE"]],
      ["make", { shell: "/bin/bash" }, ["/bin/bash", "-e", "FILE"]],
      ["1/0", { shell: "/usr/bin/python3" }, ["/usr/bin/python3", "FILE"]],
      ["#!/bin/bash\nmake", {}, ["/bin/bash", "FILE"]],
      ["#!/bin/bash", {}, ["/bin/bash", "FILE"]],
      ["#! /usr/bin/env \t bash  \nmake\r\n", {}, ["/usr/bin/env", "bash", "FILE"]],
      ["#!/usr/bin/env -S deno run -A\n", {}, ["/usr/bin/env", "-S deno run -A", "FILE"]],
      ["#!/bin/sh -eu\nmake", { errexit: false }, ["/bin/sh", "-eu", "FILE"]],
      ["#!/bin/sh\nmake", { shell: "/bin/bash" }, ["/bin/bash", "FILE"]],
      ["#!/bin/sh\nmake", { shell: "/bin/bash", errexit: true }, ["/bin/bash", "-e", "FILE"]],
      ["# !/bin/bash\n", {}, ["/bin/sh", "-e", "FILE"]],
    ] as const
  ) assert.deepEqual(argv({ script, ...more }), expected, JSON.stringify([script, more]));
});

Deno.test("parseJobRequest() says what is wrong with a #! line or errexit", () => {
  for (
    const [request, path, message] of [
      [{ script: "#!/bin/bash\r\nmake" }, "script", /ends in CRLF.*LF/],
      [{ script: "#!/usr/bin/env bash\r" }, "script", /ends in CRLF/],
      [{ script: "\ufeff#!/bin/bash\n" }, "script", /byte order mark/],
      [{ script: "#!bash\n" }, "script", /names "bash"; give an absolute path/],
      [{ script: "#!\nmake" }, "script", /names no interpreter/],
      [{ script: "#!/bin/sh\n", errexit: true }, "errexit", /set -e/],
      [{ script: "1", shell: "/bin/fish", errexit: true }, "errexit", /POSIX shell/],
      [{ command: ["make"], errexit: false }, "errexit", /with `script` only/],
    ] as const
  ) {
    const [issue] = issues({ project: "web", ...request });
    assert.equal(issue?.path, path);
    assert.match(issue?.message ?? "", message);
  }
});

Deno.test("parseJobRequest() reads every field, in the units of the inside", () => {
  const { spec, secrets } = parse({
    project: "web",
    command: ["make", "-j2"],
    env: { A: "x", N: 1, B: true },
    secrets: { TOKEN: "a-long-secret" },
    workdir: "/srv/web",
    limits: { cpu: 0.5, memory: "512M" },
    timeout: "10m",
    grace: 2.5,
    priority: 9,
    concurrency_group: "deploy",
    cancel_in_progress: true,
    retries: { max: 2, on: ["lost"], delay: "30s" },
    output: "split",
    log_max: "1M",
    labels: { pr: "7" },
  });
  assert.deepEqual(spec, {
    project: "web",
    work: { kind: "command", argv: ["make", "-j2"] },
    env: { FROM_PROJECT: "1", A: "x", N: "1", B: "true" },
    secretNames: ["TOKEN"],
    workdir: "/srv/web",
    limits: { tasks: 64, cpu: 0.5, memoryBytes: 512 * 1024 * 1024 },
    timeoutMs: 600_000,
    graceMs: 2_500,
    priority: 9,
    concurrencyGroup: "deploy",
    cancelInProgress: true,
    retries: { max: 2, on: ["lost"], delayMs: 30_000 },
    output: "split",
    logMaxBytes: 1024 * 1024,
    labels: { pr: "7" },
  });
  assert.deepEqual(secrets, { TOKEN: "a-long-secret" });
});

/** An invalid request, the path of the error, and its message. */
const BAD: readonly (readonly [string, unknown, string, RegExp])[] = [
  ["no object", 7, "body", /must be an object/],
  ["null", null, "body", /must be an object/],
  ["no project", { script: "true" }, "project", /is missing/],
  ["a project with a slash", { ...job, project: "a/b" }, "project", /a character other than/],
  ["a project with ..", { ...job, project: "a..b" }, "project", /contains '\.\.'/],
  ["a project of dots", { ...job, project: ".." }, "project", /begins with/],
  ["a project with a newline", { ...job, project: "a\nb" }, "project", /a character other than/],
  [
    "a project of 300 characters",
    { ...job, project: "a".repeat(300) },
    "project",
    /300 characters/,
  ],
  ["a project that looks like a flag", { ...job, project: "-rf" }, "project", /begins with a dash/],
  ["an empty project", { ...job, project: "" }, "project", /is empty/],
  ["no work", { project: "web" }, "script", /is missing/],
  ["work twice", { ...job, command: ["true"] }, "command", /beside `script`/],
  ["an empty script", { ...job, script: " \n" }, "script", /is empty/],
  ["NUL in a script", { ...job, script: "a\0b" }, "script", /NUL/],
  ["half a character in a script", { ...job, script: "a\ud800" }, "script", /Unicode/],
  ["a huge script", { ...job, script: "x".repeat(SCRIPT_MAX_BYTES + 1) }, "script", /at most 1M/],
  ["an empty command", { project: "web", command: [] }, "command", /give a program/],
  ["an empty program", { project: "web", command: [""] }, "command.0", /give a program/],
  ["NUL in an argument", { project: "web", command: ["a", "b\0"] }, "command.1", /NUL/],
  ["a command as text", { project: "web", command: "ls -l" }, "command", /list of texts/],
  ["a number in a command", { project: "web", command: ["a", 1] }, "command.1", /must be text/],
  [
    "an argument over the kernel's limit",
    { project: "web", command: ["echo", "x".repeat(131_072)] },
    "command.1",
    /131072 bytes long; the kernel takes at most 131071/,
  ],
  [
    "arguments over the kernel's limit together",
    { project: "web", command: Array(20).fill("x".repeat(100_000)) },
    "command",
    /at most 1048576/,
  ],
  [
    "a command and variables over the kernel's limit together",
    {
      project: "web",
      command: Array(6).fill("x".repeat(100_000)),
      env: Object.fromEntries("ABCDEF".split("").map((name) => [name, "x".repeat(100_000)])),
    },
    "env",
    /with the command.* at most 1048576/,
  ],
  [
    "a shell without a script",
    { project: "web", command: ["a"], shell: "/bin/sh" },
    "shell",
    /works with/,
  ],
  ["a relative shell", { ...job, shell: "bash" }, "shell", /absolute path/],
  ["NUL in a variable", { ...job, env: { A: "b\0c" } }, "env.A", /NUL/],
  ["a variable's name with =", { ...job, env: { "A=B": "c" } }, "env.A=B", /contains '='/],
  [
    "a variable's name with a dash",
    { ...job, env: { "A-B": "c" } },
    "env.A-B",
    /is not a variable name/,
  ],
  ["a variable that is a list", { ...job, env: { A: [] } }, "env.A", /must be text, a number/],
  ["variables that are a list", { ...job, env: "A=B" }, "env", /must be an object/],
  [
    "a name that would be lost",
    JSON.parse('{"project":"web","script":"a","env":{"__proto__":"x"}}'),
    "env.__proto__",
    /cannot be used/,
  ],
  [
    "another name that would be lost",
    { ...job, env: { constructor: "x" } },
    "env.constructor",
    /cannot be used/,
  ],
  [
    "a secret beside a variable",
    { ...job, env: { A: "1" }, secrets: { A: "long-secret" } },
    "secrets.A",
    /is in `env` too/,
  ],
  [
    "a secret too short to mask",
    { ...job, secrets: { A: "1" } },
    "secrets.A",
    /could not be masked/,
  ],
  [
    "too many secrets",
    { ...job, secrets: Object.fromEntries(numbered(65).map((name) => [name, "long-secret"])) },
    "secrets",
    /has 65 entries; at most 64 are allowed/,
  ],
  [
    "a secret too long",
    { ...job, secrets: { A: "é".repeat(32 * 1024 + 1) } },
    "secrets.A",
    /is 65538 bytes long; at most 65536 \(64K\) are allowed/,
  ],
  [
    "secrets too long together",
    { ...job, secrets: Object.fromEntries(numbered(3).map((name) => [name, "x".repeat(50_000)])) },
    "secrets",
    /takes 150000 bytes; at most 131072 \(128K\) are allowed together/,
  ],
  ["a workdir with ..", { ...job, workdir: "../../etc" }, "workdir", /'\.\.'/],
  [
    "a negative timeout",
    { ...job, timeout: -5 },
    "timeout",
    /is -5; a duration cannot be negative/,
  ],
  ["a negative timeout in words", { ...job, timeout: "-5m" }, "timeout", /cannot be negative/],
  ["a timeout that is none", { ...job, timeout: "soon" }, "timeout", /give a duration such as/],
  ["no time at all", { ...job, timeout: 0 }, "timeout", /from 1ms to 24d/],
  ["a timeout of a year", { ...job, timeout: "365d" }, "timeout", /from 1ms to 24d/],
  ["a timeout without end", { ...job, timeout: "9".repeat(400) }, "timeout", /from 1ms to 24d/],
  ["a grace of a day", { ...job, grace: "1d" }, "grace", /from 0 to 1h/],
  [
    "a delay without end",
    { ...job, retries: { max: 1, delay: "9".repeat(400) } },
    "retries.delay",
    /from 0 to 1h/,
  ],
  [
    "a delay that is no whole number of milliseconds",
    { ...job, retries: { max: 1, delay: 1e300 } },
    "retries.delay",
    /from 0 to 1h/,
  ],
  ["no memory", { ...job, limits: { memory: 0 } }, "limits.memory", /give a size/],
  ["half a character in a path", { ...job, workdir: "a\ud800" }, "workdir", /surrogate/],
  ["too little memory", { ...job, limits: { memory: "7M" } }, "limits.memory", /from 8M to/],
  ["memory in words", { ...job, limits: { memory: "lots" } }, "limits.memory", /give a size/],
  ["no CPU", { ...job, limits: { cpu: 0 } }, "limits.cpu", /from 0\.01 to 4096/],
  ["half a task", { ...job, limits: { tasks: 0.5 } }, "limits.tasks", /whole/],
  ["a priority of 10", { ...job, priority: 10 }, "priority", /from 0 to 9/],
  ["too many retries", { ...job, retries: { max: 11 } }, "retries.max", /from 0 to 10/],
  [
    "a cause of retries that is none",
    { ...job, retries: { max: 1, on: ["oom"] } },
    "retries.on.0",
    /give one of failed, oom_killed/,
  ],
  [
    "cancel_in_progress without a group",
    { ...job, cancel_in_progress: true },
    "cancel_in_progress",
    /needs `concurrency_group`/,
  ],
  [
    "a newline in a group",
    { ...job, concurrency_group: "a\nb" },
    "concurrency_group",
    /control character/,
  ],
  [
    "an unknown field",
    { ...job, timout: 1 },
    "timout",
    /is not a known field; did you mean "timeout"\?/,
  ],
  [
    "an unknown field inside",
    { ...job, limits: { memroy: "1G" } },
    "limits.memroy",
    /did you mean "memory"\?/,
  ],
  ["an unknown output", { ...job, output: "both" }, "output", /give one of merged, split/],
  [
    "too many labels",
    { ...job, labels: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`l${n}`, ""])) },
    "labels",
    /more than 64/,
  ],
];

for (const [name, body, path, message] of BAD) {
  Deno.test(`parseJobRequest() refuses ${name}`, () => {
    const [first] = issues(body);
    assert.equal(first?.path, path);
    assert.match(first?.message ?? "", message);
  });
}

Deno.test("parseJobRequest() reports all issues at once", () => {
  const paths = issues({ project: "a/b", script: 7, limits: { cpu: "x" } }).map(({ path }) => path);
  assert.deepEqual(paths, ["project", "script", "limits.cpu"]);
});

Deno.test("parseJobRequest() quotes only a little of its input", () => {
  const text = "x".repeat(100_000);
  for (
    const body of [{ ...job, [text]: 1 }, { ...job, timeout: text }, {
      ...job,
      env: { [text]: "a" },
    }]
  ) {
    assert(JSON.stringify(issues(body)).length < 2_000);
  }
});

Deno.test("parseJobRequest() accepts a secret with the name of an object's own property", () => {
  assert.deepEqual(parse({ ...job, secrets: { toString: "a-long-secret" } }).spec.secretNames, [
    "toString",
  ]);
});

Deno.test("parseJobRequest() returns a spec or issues for any input", () => {
  const fields = ["project", "command", "script", "env", "secrets", "limits", "timeout", "retries"];
  const nearJob = fc.dictionary(
    fc.constantFrom(...fields, "priority", "labels", "workdir", "output", "shell", "other"),
    fc.jsonValue(),
  ).map((fields) => ({ ...job, ...fields }));
  fc.assert(fc.property(fc.oneof(fc.jsonValue(), nearJob), (body) => {
    try {
      const { spec } = parse(body);
      assert.equal(JSON.stringify(JSON.parse(JSON.stringify(spec))), JSON.stringify(spec));
    } catch (error) {
      assert(error instanceof CicdError && error.code === "invalid_request", `${error}`);
      assert(error.issues.length > 0 && error.issues.length <= 32);
    }
  }));
});

Deno.test("parseJobRequest() accepts the most and largest secrets", () => {
  const many = Object.fromEntries(numbered(64).map((name) => [name, "x".repeat(2 * 1024)]));
  assert.equal(parse({ ...job, secrets: many }).spec.secretNames.length, 64);
  const large = { A: "x".repeat(64 * 1024), B: "y".repeat(64 * 1024) };
  assert.deepEqual(parse({ ...job, secrets: large }).secrets, large);
});
