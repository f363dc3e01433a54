import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { busSocketPaths } from "@lib/foundations/systemd/dbus/stream.ts";

function paths(address: string): readonly string[] {
  return busSocketPaths({ DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: "/run/user/1" });
}

Deno.test("busSocketPaths() reads unix paths with escapes and further options", () => {
  assert.deepEqual(paths("unix:path=/run/a%20b%2c,guid=00ff"), ["/run/a b,"]);
  assert.deepEqual(paths("unix:guid=1,path=/run/x"), ["/run/x"]);
});

Deno.test("busSocketPaths() marks abstract sockets by a NUL and keeps the order of a list", () => {
  assert.deepEqual(paths("tcp:host=x;unix:abstract=/tmp/y;unix:path=/z"), ["\0/tmp/y", "/z"]);
});

Deno.test("busSocketPaths() falls back to the runtime directory", () => {
  const expected = ["/run/user/1/bus"];
  assert.deepEqual(busSocketPaths({ XDG_RUNTIME_DIR: "/run/user/1" }), expected);
  assert.deepEqual(paths(""), expected);
});

Deno.test("busSocketPaths() refuses an environment that names no socket", () => {
  const refused = (error: unknown) =>
    error instanceof CicdError && error.code === "systemd_unavailable";
  assert.throws(() => busSocketPaths({}), refused);
  assert.throws(() => busSocketPaths({ XDG_RUNTIME_DIR: "relative" }), refused);
  for (const bad of ["tcp:host=x", "unix:path=", "unix:path=%zz", "unix:path=/a%00b", "x"]) {
    assert.throws(() => paths(bad), refused, bad);
  }
});
