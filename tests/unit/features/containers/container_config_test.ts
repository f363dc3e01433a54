import assert from "node:assert/strict";
import { newJobId, parseProjectName } from "@lib/core/ids.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { isHoldable } from "@lib/features/containers/job_labels.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { ContainerSpec, JobSpec } from "@lib/spine/spec/job_spec.ts";
import {
  containerBody,
  type ContainerConfigOptions,
  containerUser,
} from "@lib/features/containers/container_config.ts";
import { makeContainer, makeSpec } from "../../../support/job_fixtures.ts";

const OPTIONS: ContainerConfigOptions = {
  facts: {
    cpus: 2,
    podman: false,
    rootless: false,
    cgroupDriver: "cgroupfs",
    logDrivers: ["local"],
  },
  init: true,
  account: { uid: 1000, gid: 100 },
  stateDir: "/state",
  tasks: 512,
};

const CONTAINER = makeContainer({ image: "alpine:3", network: "bridge" });

function request(
  container: Partial<ContainerSpec> = {},
  spec: Partial<JobSpec> = {},
): AttemptRequest {
  const project = parseProjectName("web-app");
  assert(project !== undefined);
  const ref = { project, jobId: newJobId(), number: 2 };
  return {
    ref,
    directory: attemptDirectory("/state", ref),
    env: { PLAIN: "1", TOKEN: "weak" },
    secrets: new Map([["TOKEN", "s3cret"]]),
    spec: makeSpec({
      project,
      work: { kind: "command", argv: ["make", "all"] },
      secretNames: ["TOKEN"],
      container: { ...CONTAINER, ...container },
      ...spec,
    }),
  };
}

Deno.test("containerBody() closes a container that asks for nothing", () => {
  const { HostConfig, User } = containerBody(request(), OPTIONS);
  assert.equal(HostConfig.Privileged, false);
  assert.deepEqual(HostConfig.CapDrop, ["ALL"]);
  assert.deepEqual(HostConfig.CapAdd, []);
  assert.deepEqual(HostConfig.SecurityOpt, ["no-new-privileges"]);
  assert.equal(HostConfig.PidsLimit, 512);
  assert.deepEqual(HostConfig.RestartPolicy, { Name: "no" });
  assert.equal(User, "1000:100");
  assert.deepEqual(HostConfig.Mounts.map(({ Target }) => Target), ["/workspace", "/home/job"]);
  assert.equal(HostConfig.CgroupParent, undefined);
});

Deno.test("containerBody() gives no swap beside the memory", () => {
  const limits = { memoryBytes: 1024, cpu: 1.5, tasks: 7, diskBytes: 4096 };
  const { HostConfig } = containerBody(request({}, { limits }), OPTIONS);
  assert.equal(HostConfig.Memory, 1024);
  assert.equal(HostConfig.MemorySwap, 1024);
  assert.equal(HostConfig.NanoCpus, 1_500_000_000);
  assert.equal(HostConfig.PidsLimit, 7);
  assert.deepEqual(HostConfig.StorageOpt, { size: "4096" });
});

Deno.test("containerBody() asks for no more CPUs than the engine has, which refuses that", () => {
  const nano = (cpus: number) =>
    containerBody(request({}, { limits: { cpu: 4 } }), {
      ...OPTIONS,
      facts: { ...OPTIONS.facts, cpus },
    }).HostConfig.NanoCpus;
  assert.equal(nano(2), 2_000_000_000);
  assert.equal(nano(8), 4_000_000_000);
  assert.equal(nano(0), 4_000_000_000);
});

Deno.test("containerBody() puts secrets into the environment and nowhere else", () => {
  const body = containerBody(request(), OPTIONS);
  assert.deepEqual(body.Env, ["PLAIN=1", "TOKEN=s3cret"]);
  assert(!JSON.stringify({ ...body, Env: [] }).includes("s3cret"));
});

Deno.test("containerBody() runs the job's command alone, or hands it to the image", () => {
  const job = containerBody(request(), OPTIONS);
  assert.deepEqual([job.Entrypoint, job.Cmd], [["make", "all"], []]);
  const image = containerBody(request({ entrypoint: "image" }), OPTIONS);
  assert.deepEqual([image.Entrypoint, image.Cmd], [undefined, ["make", "all"]]);
});

Deno.test("containerBody() joins the streams of a script before the engine parts them", () => {
  const argv = (shell: string, output: JobSpec["output"]) =>
    containerBody(
      request({}, { work: { kind: "script", text: "true", shell }, output }),
      OPTIONS,
    ).Entrypoint;
  assert.deepEqual(argv("/bin/bash", "merged")?.slice(0, 3), [
    "/bin/bash",
    "-c",
    'exec "$0" "$@" 2>&1',
  ]);
  assert.deepEqual(argv("/bin/bash", "split"), ["/bin/bash", "/run/cicd/script"]);
  assert.deepEqual(argv("/usr/bin/python3", "merged"), ["/usr/bin/python3", "/run/cicd/script"]);
  const work = { kind: "script", text: "", shell: "/usr/bin/env", args: ["bash"] } as const;
  const shebang = containerBody(request({}, { work }), OPTIONS).Entrypoint;
  assert.equal(
    shebang?.join(" "),
    'env bash -c exec "$0" "$@" 2>&1 env bash /run/cicd/script'
      .replaceAll("env", "/usr/bin/env"),
  );
});

Deno.test("containerBody() starts in the workspace, below it, or where the job says", () => {
  const workdir = (workdir: string) => containerBody(request({}, { workdir }), OPTIONS).WorkingDir;
  assert.equal(containerBody(request(), OPTIONS).WorkingDir, "/workspace");
  assert.equal(workdir("web"), "/workspace/web");
  assert.equal(workdir("/srv"), "/srv");
});

Deno.test("containerBody() bounds a rootless engine's containers by the project's slice", () => {
  const facts = { ...OPTIONS.facts, rootless: true, cgroupDriver: "systemd" };
  const { HostConfig } = containerBody(request(), { ...OPTIONS, facts });
  assert.equal(HostConfig.CgroupParent, "cicd-web\\x2dapp.slice");
});

Deno.test("containerBody() keeps the output as bytes where the engine can", () => {
  const type = (...logDrivers: string[]) =>
    containerBody(request(), { ...OPTIONS, facts: { ...OPTIONS.facts, logDrivers } })
      .HostConfig.LogConfig.Type;
  assert.equal(type("json-file", "local"), "local");
  assert.equal(type("journald", "k8s-file"), "k8s-file");
  assert.equal(type(), "json-file");
});

Deno.test("containerUser() makes what a job writes belong to the account", () => {
  const user = (rootless: boolean, podman: boolean, uid: number, given?: string) =>
    containerUser({ ...CONTAINER, ...(given === undefined ? {} : { user: given }) }, {
      facts: { ...OPTIONS.facts, rootless, podman },
      account: { uid, gid: uid },
    });
  assert.deepEqual(user(false, false, 7), { user: "7:7" });
  assert.deepEqual(user(false, false, 0), {});
  assert.deepEqual(user(true, false, 7), { user: "0:0" });
  assert.deepEqual(user(true, true, 7), { user: "7:7", usernsMode: "keep-id" });
  assert.deepEqual(user(true, true, 7, "app"), { user: "app" });
});

Deno.test("containerBody() keeps every record of the attempt out of the job's reach", () => {
  const script = { kind: "script", text: "make", shell: "sh" } as const;
  for (const work of [script, { kind: "command", argv: ["make"] } as const]) {
    const attempt = request({}, { work });
    const { workspace, home, scriptFile, levels: _levels, slot: _slot, logFile, ...records } =
      attempt.directory;
    const { Mounts } = containerBody(attempt, OPTIONS).HostConfig;
    const writable = Mounts.filter(({ ReadOnly }) => !ReadOnly).map(({ Source }) => Source);
    assert.deepEqual(writable, [workspace, home]);
    const others = Mounts.filter(({ ReadOnly }) => ReadOnly).map(({ Source }) => Source);
    assert.deepEqual(others, work.kind === "script" ? [scriptFile] : []);
    const logs = (["merged", "stdout", "stderr"] as const).map((stream) => logFile(stream));
    for (const record of [...Object.values(records), ...logs]) {
      for (const { Source } of Mounts) {
        assert.ok(record !== Source && !record.startsWith(`${Source}/`), `${record} in ${Source}`);
      }
    }
  }
});

Deno.test("containerBody() starts what may be held through a shell, which becomes the job", () => {
  const entrypoint = ["/bin/entry", "first"];
  const body = (entry: "job" | "image") =>
    containerBody(request({ entrypoint: entry }), { ...OPTIONS, holdable: { entrypoint } });
  const { Entrypoint = [], Cmd, HostConfig, Labels } = body("job");
  assert.deepEqual([Entrypoint.slice(0, 2), Cmd], [["/bin/sh", "-c"], []]);
  assert.deepEqual(Entrypoint.slice(3), ["cicd-start", "make", "all"]);
  assert.deepEqual(body("image").Entrypoint?.slice(4), [...entrypoint, "make", "all"]);
  const held = HostConfig.Mounts.find(({ Target }) => Target === "/run/cicd/held");
  assert.equal(held?.ReadOnly, true);
  assert.equal(isHoldable(Labels), true);
  assert.equal(isHoldable(containerBody(request(), OPTIONS).Labels), false);
});
