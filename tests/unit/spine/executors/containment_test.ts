import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { type ContainChoice, findContainment } from "@lib/spine/executors/containment.ts";

const FINE = "=13\nlisted\n";

/** Finds a way on a machine where the programs that match `works` do, and those of `programs` are there. */
async function find(
  choice: ContainChoice,
  { works, uid = 1000, programs = /./ }: {
    readonly works: RegExp;
    readonly uid?: number;
    readonly programs?: RegExp;
  },
) {
  const tried: string[] = [];
  const run: RunCommand = (argv) => {
    const line = argv.slice(0, argv.indexOf("/bin/sh")).join(" ");
    tried.push(line);
    const isFine = works.test(line);
    return Promise.resolve({
      code: isFine ? 0 : 1,
      signal: undefined,
      stdout: isFine ? FINE : "",
      stderr: isFine ? "" : "unshare: unshare failed: Operation not permitted\n",
      truncated: false,
    });
  };
  const isThere = (path: string) => path.startsWith("/usr/bin/") && programs.test(path);
  const signal = new AbortController().signal;
  const plan = await findContainment(choice, { run, isThere, uid, signal });
  return { ...plan, tried };
}

Deno.test("findContainment() takes a PID namespace for root, and a user namespace for others", async () => {
  assert.equal((await find("auto", { works: /./, uid: 0 })).way, "pid");
  const { way, setsid, tried } = await find("auto", { works: /./ });
  assert.deepEqual([way, setsid], ["user", "/usr/bin/setsid"]);
  assert.equal(tried.length, 1);
  assert.match(tried[0] ?? "", /--user --map-current-user --pid --fork --kill-child --mount-proc$/);
});

Deno.test("findContainment() gives root a user namespace only if it is asked for", async () => {
  const works = /--user|^$/;
  assert.equal((await find("auto", { works, uid: 0 })).way, "marker");
  assert.equal((await find("namespace", { works, uid: 0 })).way, "user");
});

Deno.test("findContainment() says why there is no namespace", async () => {
  const refused = await find("auto", { works: /^$/ });
  assert.deepEqual([refused.way, refused.setsid], ["marker", "/usr/bin/setsid"]);
  assert.equal(refused.why, "unshare: unshare failed: Operation not permitted");
  const missing = await find("auto", { works: /./, programs: /unshare|setsid/ });
  assert.deepEqual([missing.way, missing.why], ["marker", "there is no nsenter program"]);
  const plain = await find("auto", { works: /nothing/ });
  assert.deepEqual([plain.way, plain.setsid], ["marker", ""]);
});

Deno.test("findContainment() keeps to the configuration", async () => {
  const { way, tried } = await find("marker", { works: /./ });
  assert.equal(way, "marker");
  assert.deepEqual(tried, [""]);
  await assert.rejects(find("namespace", { works: /^$/ }), (error) => {
    assert(error instanceof CicdError);
    assert.match(error.message, /Cannot contain jobs in a namespace: .*not permitted/);
    return error.code === "executor_failed";
  });
});
