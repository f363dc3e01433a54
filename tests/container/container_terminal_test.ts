import assert from "node:assert/strict";
import { dialWebSocket } from "@lib/foundations/http/web_socket_client.ts";
import { Stage } from "../support/container_stage.ts";
import { isAlive, pause } from "../support/runner_process.ts";

/** Opens a terminal in the container of a job. */
async function open(t: Stage, id: string, ...words: readonly string[]) {
  const query = new URLSearchParams({ columns: "70", rows: "20" });
  for (const word of words) query.append("command", word);
  const link = await dialWebSocket({
    at: { socketPath: t.runner.socket },
    path: `/v1/jobs/${id}/terminal?${query}`,
    maxReceiveBytes: 1_000_000,
  }, AbortSignal.timeout(60_000));
  const seen = { text: "", exit: "" };
  link.listen((message) => {
    if (typeof message !== "string") seen.text += new TextDecoder().decode(message);
    else if (message.includes('"exit"')) seen.exit = message;
  });
  const shows = async (text: string) => {
    for (let tries = 0; !seen.text.includes(text); tries++) {
      if (tries > 400) throw new Error(`${text} does not come: ${seen.text}`);
      await pause(50);
    }
  };
  return {
    seen,
    shows,
    link,
    type: (text: string) => link.send(new TextEncoder().encode(text)),
    [Symbol.dispose]: () => link[Symbol.dispose](),
  };
}

async function running(t: Stage): Promise<string> {
  const id = await t.submit({
    script: "echo inside >mark; echo begun; until [ -e go ]; do sleep 0.1; done",
    secrets: { TOKEN: "never-shown" },
    env: { PLAIN: "shown" },
  });
  await t.logHolds(id, "begun");
  return id;
}

Deno.test("a terminal in the container of a job has its files, environment and size, and no secrets", async () => {
  await using t = await Stage.open();
  const id = await running(t);
  {
    using one = await open(
      t,
      id,
      "sh",
      "-c",
      'until stty size 2>&1 | grep 20.70; do sleep 0.1; done; cat mark; echo "$PLAIN [$TOKEN]"; exit 7',
    );
    await one.link.closed;
    assert.match(one.seen.text, /20 70\r\ninside\r\nshown \[\]/);
    assert.match(one.seen.exit, /"exit_code":7/);
  }
  using shell = await open(t, id);
  await shell.link.send(JSON.stringify({ type: "resize", columns: 90, rows: 30 }));
  await shell.type("until stty size | grep 30.90; do sleep 0.1; done\r");
  await shell.shows("\n30 90");
  const { terminals } = JSON.parse(await t.curl("/v1/terminals"));
  assert.deepEqual(terminals.map(({ job }: { readonly job: string }) => job), [id]);
  // It ends with its job, which it does not hold up.
  await shell.type("touch go\r");
  assert.equal((await t.ended(id)).state, "succeeded");
  await shell.link.closed;
  await t.engine.left();
});

Deno.test("a terminal in a container that is killed leaves no process, nor does one of a killed agent", async () => {
  await using t = await Stage.open();
  const id = await running(t);
  using shell = await open(t, id, "sh", "-c", "trap '' HUP; echo ready; while :; do sleep 1; done");
  await shell.shows("ready");
  const count = async () => {
    using one = await open(t, id, "sh", "-c", "ps | grep -c '[t]rap'");
    await one.link.closed;
    return Number(/\d+/.exec(one.seen.text)?.[0]);
  };
  assert.ok(await count() > 0);
  const [terminal] = JSON.parse(await t.curl("/v1/terminals")).terminals;
  await t.curl(`/v1/projects/web/terminals/${terminal.id}/kill`, "-X", "POST");
  assert.equal(await count(), 0);

  using orphan = await open(
    t,
    id,
    "sh",
    "-c",
    "trap '' HUP; echo ready; while :; do sleep 1; done",
  );
  await orphan.shows("ready");
  for (const pid of t.runner.agentPids()) {
    Deno.kill(pid, "SIGKILL");
    while (isAlive(pid)) await pause(20);
  }
  // The runner needs the next one to follow the job.
  while (t.runner.agentPids().length === 0) await pause(20);
  assert.equal(await count(), 0);
  await t.curl(`/v1/jobs/${id}/cancel`, "-X", "POST");
  await t.ended(id);
  await t.engine.left();
});

Deno.test("a failed job with a container is not held, and its message says so", async () => {
  await using t = await Stage.open();
  const id = await t.submit({ script: "exit 3", hold_on_failure: "1h" });
  const job = await t.ended(id);
  assert.deepEqual([job.state, job.exit_code, job.held_until], ["failed", 3, null]);
  assert.match(job.message, /not held/);
  await t.engine.left();
});
