import assert from "node:assert/strict";
import { endMarked, marked } from "@lib/foundations/process/marked_helpers.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";

const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };

Deno.test("endMarked() ends helpers with its mark, their children too, and no others", async () => {
  const mark = `/tmp/${crypto.randomUUID()}`;
  const stop = new AbortController();
  using ready = readyDirectory();
  const script = `sleep 1000 & touch "${ready.path}/$$"; wait`;
  const run = (of: string) =>
    marked(runCommand, of)(["/bin/sh", "-c", script], {
      env,
      timeoutMs: 600_000,
      signal: stop.signal,
    });
  const ours = run(mark);
  const others = run(`${mark}-2`);
  await ready.holds(2);
  assert.equal(endMarked(mark), 2);
  assert.equal((await ours).signal, "SIGKILL");
  assert.equal(endMarked(mark), 0);
  const ended = assert.rejects(others);
  stop.abort(new Error("the test is over"));
  await ended;
});

Deno.test("marked() keeps the rest of a helper's environment", async () => {
  const { stdout } = await marked(runCommand, "/x")(["env"], {
    env: { ...env, A: "1" },
    signal: AbortSignal.timeout(30_000),
  });
  assert.deepEqual(stdout.trim().split("\n").sort(), [
    "A=1",
    "CICD_HELPER_OF=/x",
    `PATH=${env.PATH}`,
  ]);
});

/** A directory in which helpers say that they are ready. */
function readyDirectory() {
  const path = Deno.makeTempDirSync({ prefix: "marked-" });
  const watcher = Deno.watchFs(path);
  return {
    path,
    async holds(count: number) {
      const full = () => [...Deno.readDirSync(path)].length >= count;
      if (full()) return;
      for await (const _ of watcher) if (full()) return;
    },
    [Symbol.dispose]() {
      try {
        watcher.close();
      } catch (error) {
        // The loop above closed it.
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
      Deno.removeSync(path, { recursive: true });
    },
  };
}
