import assert from "node:assert/strict";
import { lookUpUser } from "@lib/features/containers/container_account.ts";
import type { ArchivedFile } from "@lib/foundations/docker/archived_file.ts";

const FILES = {
  "/etc/passwd":
    "root:x:0:0::/:/bin/sh\nnode:x:1000:1001::/:/bin/sh\n7:x:70:71::/:/bin/sh\nodd:x:-5:1::/:\n",
  "/etc/group": "root:x:0:\nstaff:x:50:node\n",
};
const NEVER = new AbortController().signal;

/** Looks a user up in an image; the calls of the engine are returned too. */
async function look(
  user: string,
  files: Readonly<Record<string, string | ArchivedFile>> = FILES,
) {
  const calls: string[] = [];
  const ids = await lookUpUser(
    {
      createContainer: () => Promise.resolve("made"),
      readContainerFile(_container, path) {
        calls.push(path);
        const file = files[path];
        return Promise.resolve(typeof file === "string" ? { kind: "file", text: file } : file);
      },
      removeContainer(id) {
        calls.push(`remove ${id}`);
        return Promise.resolve();
      },
    },
    { image: "app:1", user, stateDir: "/state" },
    NEVER,
  );
  return { ids, calls };
}

Deno.test("lookUpUser() takes a name for its ids, and a number without a group for its entry's group", async () => {
  assert.deepEqual((await look("node")).ids, { uid: 1000, gid: 1001 });
  assert.deepEqual((await look("1000")).ids, { uid: 1000, gid: 1001 });
  assert.deepEqual((await look("01000")).ids, { uid: 1000, gid: 1001 });
  assert.deepEqual((await look("7")).ids, { uid: 70, gid: 71 });
});

Deno.test("lookUpUser() lets a group replace that of the entry", async () => {
  assert.deepEqual((await look("node:staff")).ids, { uid: 1000, gid: 50 });
  assert.deepEqual((await look("node:5")).ids, { uid: 1000, gid: 5 });
});

Deno.test("lookUpUser() needs no entry for a number, and has no group but root's for it then", async () => {
  assert.deepEqual((await look("5", {})).ids, { uid: 5, gid: 0 });
});

Deno.test("lookUpUser() asks the engine only for what the user does not say", async () => {
  for (const user of ["", "0", "root", "root:root", "0:0"]) {
    assert.deepEqual(await look(user), { ids: { uid: 0, gid: 0 }, calls: [] });
  }
  assert.deepEqual(await look("1000:7"), { ids: { uid: 1000, gid: 7 }, calls: [] });
  const { calls } = await look("node");
  assert.deepEqual(calls, ["/etc/passwd", "/etc/group", "remove made"]);
});

Deno.test("lookUpUser() finds none where the engine does not either", async () => {
  const users = ["absent", "node:absent", "4294967295", "node:2147483648", "1:4294967295", "odd"];
  for (const user of users) assert.equal((await look(user)).ids, undefined, user);
});

Deno.test("lookUpUser() follows the links of an image, but not for ever", async () => {
  const { "/etc/passwd": text } = FILES;
  const linked = {
    "/etc/passwd": { kind: "link", target: "../run/users" },
    "/run/users": text,
  } as const;
  assert.deepEqual((await look("node", linked)).ids, { uid: 1000, gid: 1001 });
  const circle = { "/etc/passwd": { kind: "link", target: "passwd" } } as const;
  assert.equal((await look("node", circle)).ids, undefined);
});
