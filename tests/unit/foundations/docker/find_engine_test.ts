import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import {
  findEngine,
  formatEngineAddress,
  parseEngineHost,
} from "@lib/foundations/docker/find_engine.ts";

function found(
  env: Record<string, string>,
  sockets: readonly string[] = [],
  host?: string,
): string {
  return formatEngineAddress(findEngine({ host, env, isSocket: (path) => sockets.includes(path) }));
}

Deno.test("findEngine() takes what is named before what it finds", () => {
  const env = {
    DOCKER_HOST: "unix:///d",
    CONTAINER_HOST: "tcp://c:1",
    XDG_RUNTIME_DIR: "/run/user/7",
  };
  const sockets = ["/var/run/docker.sock"];
  assert.equal(found(env, sockets, "tcp://127.0.0.1:9"), "tcp://127.0.0.1:9");
  assert.equal(found(env, sockets), "unix:///d");
  assert.equal(found({ ...env, DOCKER_HOST: "" }, sockets), "tcp://c:1");
});

Deno.test("findEngine() prefers the account's own engine to the system's, and Docker to Podman", () => {
  const env = { XDG_RUNTIME_DIR: "/run/user/7" };
  const sockets = [
    "/run/podman/podman.sock",
    "/var/run/docker.sock",
    "/run/user/7/podman/podman.sock",
    "/run/user/7/docker.sock",
  ];
  while (sockets.length > 0) {
    assert.equal(found(env, sockets), `unix://${sockets.at(-1)}`);
    sockets.pop();
  }
  assert.throws(
    () => found(env),
    (error) => error instanceof CicdError && error.code === "engine_unavailable",
  );
});

Deno.test("findEngine() refuses a name that it cannot read, rather than to look elsewhere", () => {
  for (const host of ["docker", "ssh://somewhere", "unix://relative", "tcp://user:word@h:1"]) {
    assert.throws(
      () => found({ DOCKER_HOST: host }, ["/var/run/docker.sock"]),
      (error) => error instanceof CicdError && error.code === "invalid_config",
    );
  }
});

Deno.test("parseEngineHost() knows the usual ports, TLS and IPv6", () => {
  assert.deepEqual(parseEngineHost("tcp://h"), { kind: "tcp", host: "h", port: 2375 });
  assert.deepEqual(parseEngineHost("tcp://[::1]:80"), { kind: "tcp", host: "::1", port: 80 });
  assert.deepEqual(parseEngineHost("tcp://h", { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: "/c" }), {
    kind: "tcp",
    host: "h",
    port: 2376,
    tlsDirectory: "/c",
  });
});
