import assert from "node:assert/strict";
import { accountReader, ownAccount } from "@lib/core/account.ts";

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

Deno.test("accountReader() looks the account up until there is an entry, and not again", () => {
  let looks = 0;
  const entry = () => {
    if (++looks === 1) throw new Error("The directory service is not up yet");
    return { username: "ci", uid: 7, gid: 8, homedir: "/home/ci", shell: "/bin/dash" };
  };
  const read = accountReader({}, { entry, ids });
  assert.equal(read().username, "12345");
  assert.equal(read().username, "ci");
  assert.equal(read().home, "/home/ci");
  assert.equal(looks, 2);
});
