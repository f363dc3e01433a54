import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { takeListenFds } from "@lib/foundations/systemd/listen_fds.ts";

function take(variables: Readonly<Record<string, string>>) {
  const env = new Map(Object.entries(variables));
  const closedOnExec: number[] = [];
  try {
    const fds = takeListenFds({ env, pid: 42, setCloseOnExec: (fd) => closedOnExec.push(fd) });
    return { fds, closedOnExec };
  } finally {
    assert.equal(env.size, 0, "the variables are gone");
  }
}

Deno.test("takeListenFds() names the sockets and keeps them from children", () => {
  const taken = take({ LISTEN_PID: "42", LISTEN_FDS: "2", LISTEN_FDNAMES: "api:" });
  assert.deepEqual(taken.fds, [{ fd: 3, name: "api" }, { fd: 4, name: "" }]);
  assert.deepEqual(taken.closedOnExec, [3, 4]);
});

Deno.test("takeListenFds() calls sockets without a name unknown", () => {
  assert.deepEqual(take({ LISTEN_PID: "42", LISTEN_FDS: "1" }).fds, [{ fd: 3, name: "unknown" }]);
});

Deno.test("takeListenFds() leaves alone what is not for this process", () => {
  assert.deepEqual(take({}).fds, []);
  assert.deepEqual(take({ LISTEN_FDS: "1" }).fds, []);
  assert.deepEqual(take({ LISTEN_PID: "41", LISTEN_FDS: "1" }), { fds: [], closedOnExec: [] });
  assert.deepEqual(take({ LISTEN_PID: "42", LISTEN_FDS: "0", LISTEN_FDNAMES: "" }).fds, []);
});

Deno.test("takeListenFds() refuses malformed values", () => {
  for (
    const bad of [
      { LISTEN_PID: "x", LISTEN_FDS: "1" },
      { LISTEN_PID: "42", LISTEN_FDS: "-1" },
      { LISTEN_PID: "42", LISTEN_FDS: "1e3" },
      { LISTEN_PID: "42", LISTEN_FDS: "999999999" },
      { LISTEN_PID: "42", LISTEN_FDS: "2", LISTEN_FDNAMES: "a" },
    ]
  ) {
    assert.throws(
      () => take(bad),
      (error) => error instanceof CicdError && error.code === "invalid_config",
    );
  }
});
