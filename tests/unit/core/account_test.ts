import assert from "node:assert/strict";
import { ownAccount } from "@lib/core/account.ts";

const ids = () => ({ uid: 12_345, gid: 0 });

Deno.test("ownAccount() falls back to the number of an account without a passwd entry", () => {
  const entry = () => {
    throw new Error("Failed to get user info ENOENT");
  };
  assert.deepEqual(ownAccount({}, { entry, ids }), {
    username: "12345",
    uid: 12_345,
    gid: 0,
    home: "/",
    shell: "/bin/sh",
  });
  assert.equal(ownAccount({ HOME: "/work" }, { entry, ids }).home, "/work");
});

Deno.test("ownAccount() takes the passwd entry, and $HOME before its home", () => {
  const entry = () => ({ username: "ci", uid: 7, gid: 8, homedir: "/home/ci", shell: "/bin/dash" });
  const account = { username: "ci", uid: 7, gid: 8, home: "/home/ci", shell: "/bin/dash" };
  assert.deepEqual(ownAccount({}, { entry, ids }), account);
  assert.deepEqual(ownAccount({ HOME: "/x" }, { entry, ids }), { ...account, home: "/x" });
});
