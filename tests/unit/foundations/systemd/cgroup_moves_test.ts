import assert from "node:assert/strict";
import { CgroupMoves } from "@lib/foundations/systemd/cgroup_moves.ts";

function setup(own: string, write: () => Promise<void> = () => Promise.resolve()) {
  const written: string[] = [];
  const moves = new CgroupMoves({
    read(path) {
      assert.equal(path, "/proc/self/cgroup");
      return own;
    },
    write(path, text) {
      assert.equal(text, String(Deno.pid));
      written.push(path);
      return write();
    },
  });
  return { moves, written };
}

Deno.test("prepare() moves this process to where it is", async () => {
  const unified = setup("0::/user.slice/a.service\n");
  await unified.moves.prepare();
  await unified.moves.prepare();
  const path = "/sys/fs/cgroup/user.slice/a.service/cgroup.procs";
  assert.deepEqual(unified.written, [path, path]);
  const legacy = setup("4:cpu:/x\n1:name=systemd:/user.slice/a.service\n0::/user.slice/b\n");
  await legacy.moves.prepare();
  assert.deepEqual(legacy.written, ["/sys/fs/cgroup/systemd/user.slice/a.service/cgroup.procs"]);
});

Deno.test("prepare() does one move at a time", async () => {
  const done = Promise.withResolvers<void>();
  const { moves, written } = setup("0::/a\n", () => done.promise);
  const both = [moves.prepare(), moves.prepare()];
  assert.equal(written.length, 1, "it begins before it returns");
  await both[1];
  done.resolve();
  await both[0];
  assert.equal(written.length, 1);
});

Deno.test("prepare() does nothing more where it is not allowed, and leaves the root cgroup alone", async () => {
  const { moves, written } = setup("0::/a\n", () => Promise.reject(new Error("EROFS")));
  await moves.prepare();
  await moves.prepare();
  assert.equal(written.length, 1);
  for (const own of ["0::/\n", "", "1:name=systemd:/\n"]) {
    const none = setup(own);
    await none.moves.prepare();
    assert.deepEqual(none.written, []);
  }
});
