import assert from "node:assert/strict";
import {
  containerIssues,
  type ContainerRules,
  mountSourceProblem,
} from "@lib/spine/spec/container_policy.ts";
import type { ContainerSpec } from "@lib/spine/spec/job_spec.ts";
import { makeContainer } from "../../../support/job_fixtures.ts";

const CLOSED: ContainerRules = {
  allow: [],
  mounts: [],
  networks: [],
  images: [],
  network: "bridge",
};

const PLAIN = makeContainer({ image: "alpine:3", network: "bridge" });

function paths(container: Partial<ContainerSpec>, rules: Partial<ContainerRules> = {}) {
  return containerIssues({ ...PLAIN, ...container }, { ...CLOSED, ...rules }).map(({ path }) =>
    path
  );
}

Deno.test("containerIssues() lets a plain container through", () => {
  assert.deepEqual(paths({}), []);
  assert.deepEqual(paths({ network: "none", ulimits: { nofile: 1024 } }), []);
});

Deno.test("containerIssues() refuses each freedom by its field until it is allowed", () => {
  const mounts = [{ source: "/srv/data", target: "/data", readOnly: true }];
  const cases: readonly [Partial<ContainerSpec>, string, Partial<ContainerRules>][] = [
    [{ privileged: true }, "container.privileged", { allow: ["privileged"] }],
    [{ capabilities: ["NET_RAW"] }, "container.capabilities.0", { allow: ["capabilities"] }],
    [{ network: "host" }, "network", { allow: ["host_network"] }],
    [{ network: "db" }, "network", { networks: ["db"] }],
    [{ user: "0:0" }, "container.user", { allow: ["user"] }],
    [{ mounts }, "container.mounts.0", { allow: ["mounts"], mounts: ["/srv"] }],
    [{ image: "alpine" }, "image", { images: ["alpine"] }],
  ];
  for (const [container, path, rules] of cases) {
    const closed = path === "image" ? { images: ["debian"] } : {};
    assert.deepEqual(paths(container, closed), [path]);
    assert.deepEqual(paths(container, rules), [], path);
  }
});

Deno.test("containerIssues() refuses what an engine would read as something else", () => {
  const all = { allow: ["capabilities", "user", "mounts", "host_network"], mounts: ["/"] };
  assert.deepEqual(paths({ network: "container:abc" }, all), ["network"]);
  assert.deepEqual(paths({ network: "default" }, all), ["network"]);
  assert.deepEqual(paths({ capabilities: ["all; x"] }, all), ["container.capabilities.0"]);
  assert.deepEqual(paths({ user: "a:b:c" }, all), ["container.user"]);
  assert.deepEqual(paths({ ulimits: { "a=b": 1 } }, all), ["container.ulimits.a=b"]);
  assert.deepEqual(paths({ image: "--rm" }, all), ["image"]);
});

Deno.test("containerIssues() keeps mounts off the job's own places", () => {
  const rules = { allow: ["mounts"], mounts: ["/srv"] };
  const targets = [
    "/workspace",
    "/workspace/x",
    "/",
    "/proc",
    "/run",
    "/home",
    "relative",
    "/a/../b",
  ];
  for (const target of targets) {
    const mounts = [{ source: "/srv/x", target, readOnly: true }];
    assert.deepEqual(paths({ mounts }, rules), ["container.mounts.0"], target);
  }
});

Deno.test("mountSourceProblem() accepts only the allowed directories", () => {
  const rules = { ...CLOSED, allow: ["mounts"], mounts: ["/srv/open/"] };
  assert.equal(mountSourceProblem("/srv/open", rules), undefined);
  assert.equal(mountSourceProblem("/srv//open/./x", rules), undefined);
  for (const source of ["/srv", "/srv/opened", "/srv/open/../closed", "srv/open", "/etc"]) {
    assert.notEqual(mountSourceProblem(source, rules), undefined, source);
  }
});

Deno.test("mountSourceProblem() never leads to an engine's socket unless that is allowed", () => {
  const rules = { ...CLOSED, allow: ["mounts"], mounts: ["/"] };
  const open = { ...rules, allow: ["mounts", "engine_socket"] };
  const own = "/tmp/engine/own.sock";
  for (
    const source of [
      "/var/run/docker.sock",
      "/run/podman/podman.sock",
      "/run",
      "/var/run",
      "/",
      "/run/user/1000",
      "/run/user/1000/podman",
      "/tmp/engine",
      own,
    ]
  ) {
    assert.match(
      mountSourceProblem(source, rules, { engineSockets: [own] }) ?? "",
      /engine/,
      source,
    );
    assert.equal(mountSourceProblem(source, open, { engineSockets: [own] }), undefined, source);
  }
  assert.equal(mountSourceProblem("/srv", rules, { engineSockets: [own] }), undefined);
});

Deno.test("mountSourceProblem() never leads to the state directory, whatever is allowed", () => {
  const rules = { ...CLOSED, allow: ["mounts", "engine_socket"], mounts: ["/"] };
  const stateDir = "/home/dev/.local/state/cicd-toolkit";
  for (const source of ["/", "/home/dev", stateDir, `${stateDir}/projects/web`]) {
    assert.match(mountSourceProblem(source, rules, { stateDir }) ?? "", /state directory/, source);
  }
  for (const source of ["/srv", "/home/dev/src", `${stateDir}-other`]) {
    assert.equal(mountSourceProblem(source, rules, { stateDir }), undefined, source);
  }
});
