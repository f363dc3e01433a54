import assert from "node:assert/strict";
import {
  buildContainerEnv,
  buildHelperEnv,
  buildJobEnv,
  type JobEnvInput,
  mayPass,
} from "@lib/foundations/process/scrubbed_env.ts";

function build(overrides: Partial<JobEnvInput> = {}) {
  return buildJobEnv({
    own: { PATH: "/bin", AWS_SECRET: "hunter2", NOTIFY_SOCKET: "/run/n", TZ: "UTC" },
    passEnv: ["PATH", "TZ"],
    account: { home: "/home/ann", user: "ann", shell: "/bin/bash" },
    job: { id: "j1", attempt: 2, project: "web", workspace: "/w", temporary: "/t" },
    layers: [],
    ...overrides,
  });
}

Deno.test("buildJobEnv() inherits only what is named", () => {
  assert.deepEqual(build(), {
    PATH: "/bin",
    LANG: "C.UTF-8",
    HOME: "/home/ann",
    USER: "ann",
    LOGNAME: "ann",
    SHELL: "/bin/bash",
    TZ: "UTC",
    TMPDIR: "/t",
    CI: "true",
    CICD: "true",
    CICD_JOB_ID: "j1",
    CICD_ATTEMPT: "2",
    CICD_PROJECT: "web",
    CICD_WORKSPACE: "/w",
  });
});

Deno.test("buildJobEnv() adds the named variables to those that every job inherits", () => {
  const own = { PATH: "/opt/bin", LC_ALL: "de_DE.UTF-8", HTTPS_PROXY: "http://proxy", OTHER: "x" };
  const env = build({ own, passEnv: ["HTTPS_PROXY"] });
  assert.equal(env["PATH"], "/opt/bin");
  assert.equal(env["LC_ALL"], "de_DE.UTF-8");
  assert.equal(env["HTTPS_PROXY"], "http://proxy");
  assert.ok(!Object.hasOwn(env, "OTHER"));
});

Deno.test("buildJobEnv() has a PATH in any case", () => {
  assert.equal(build({ own: {} })["PATH"], "/usr/local/bin:/usr/bin:/bin");
});

Deno.test("buildJobEnv() sets a TMPDIR of the job's own, unless a layer does", () => {
  const passed = { own: { TMPDIR: "/tmp" }, passEnv: ["TMPDIR"] };
  assert.equal(build(passed)["TMPDIR"], "/t");
  assert.equal(build({ ...passed, layers: [{ TMPDIR: "/scratch" }] })["TMPDIR"], "/scratch");
});

Deno.test("buildJobEnv() lets the later layer win, but not over the job's identity", () => {
  const env = build({
    layers: [{ A: "1", B: "1", CI: "no" }, { B: "2" }, { CICD_JOB_ID: "forged", HOME: "/x" }],
  });
  assert.deepEqual([env["A"], env["B"], env["CI"], env["HOME"]], ["1", "2", "no", "/x"]);
  assert.equal(env["CICD_JOB_ID"], "j1");
});

Deno.test("buildJobEnv() never passes on what systemd tells the agent", () => {
  const own = { NOTIFY_SOCKET: "x", LISTEN_FDS: "1", CREDENTIALS_DIRECTORY: "c", CICD_SOCKET: "s" };
  const env = build({ own, passEnv: Object.keys(own) });
  assert.ok(Object.keys(own).every((name) => !(name in env) && !mayPass(name)));
});

Deno.test("buildJobEnv() keeps names that objects know apart", () => {
  const env = build({
    passEnv: ["constructor", "toString"],
    layers: [JSON.parse('{"__proto__":"x"}')],
  });
  assert.ok(!Object.hasOwn(env, "constructor"));
  assert.ok(Object.hasOwn(env, "__proto__"));
});

Deno.test("buildHelperEnv() takes the few names and a plain locale", () => {
  assert.deepEqual(buildHelperEnv({ HOME: "/h", LC_ALL: "tr_TR", SECRET: "x" }), {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: "/h",
    LC_ALL: "C.UTF-8",
  });
});

Deno.test("buildContainerEnv() leaves to the image what is of the machine, unless a layer sets it", () => {
  const env = buildContainerEnv({
    own: { PATH: "/host/bin", LANG: "de_DE", HTTP_PROXY: "http://proxy", DOCKER_HOST: "unix:///d" },
    passEnv: ["PATH", "LANG", "HTTP_PROXY", "DOCKER_HOST"],
    account: { home: "/home/job", user: "me", shell: "/bin/fish" },
    job: { id: "id", attempt: 1, project: "web", workspace: "/workspace", temporary: "/t" },
    layers: [{ LANG: "C" }, { CICD_JOB_ID: "forged" }],
  });
  assert.deepEqual(env, {
    HOME: "/home/job",
    HTTP_PROXY: "http://proxy",
    CI: "true",
    LANG: "C",
    CICD: "true",
    CICD_JOB_ID: "id",
    CICD_ATTEMPT: "1",
    CICD_PROJECT: "web",
    CICD_WORKSPACE: "/workspace",
  });
});
