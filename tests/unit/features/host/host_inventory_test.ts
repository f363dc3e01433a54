import assert from "node:assert/strict";
import { HostInventory } from "@lib/features/host/host_inventory.ts";
import { silentLogger } from "../../../support/silent_logger.ts";

const FOUND = { os: { distro: "Debian" }, cpu: { cores: 2, speed_ghz: "2.4" }, system: {} };

function setup(answers: readonly (string | Error)[]) {
  const calls: (readonly string[])[] = [];
  let now = 0;
  const kept = new Map<string, string>();
  const inventory = new HostInventory({
    records: {
      read: () => Promise.resolve(kept.get("file")),
      write: (text) => Promise.resolve(void kept.set("file", text)),
    },
    stamp: "1",
    command: ["cicd-runner"],
    env: {},
    async run(argv) {
      calls.push(argv);
      const answer = answers[calls.length - 1];
      if (answer === undefined || answer instanceof Error) throw answer;
      const stdout = answer;
      return await Promise.resolve({
        code: 0,
        signal: undefined,
        stdout,
        stderr: "",
        truncated: false,
      });
    },
    now: () => now,
    log: silentLogger,
    stopping: new AbortController().signal,
  });
  const never = new AbortController().signal;
  return {
    calls,
    kept,
    get: (signal = never) => inventory.get(signal),
    pass: (ms: number) => void (now += ms),
  };
}

Deno.test("HostInventory asks one process for all who wait, and keeps the answer", async () => {
  const t = setup([JSON.stringify(FOUND)]);
  const [first, second] = await Promise.all([t.get(), t.get()]);
  assert.equal(first?.os.distro, "Debian");
  assert.equal(first?.cpu.speed_ghz, 2.4);
  assert.equal(second, first);
  assert.equal(await t.get(), first);
  assert.deepEqual(t.calls, [["cicd-runner", "host", "--local", "--json"]]);
  const later = setup([]);
  later.kept.set("file", t.kept.get("file") ?? "");
  assert.deepEqual(await later.get(), first);
});

Deno.test("HostInventory takes no file of another boot, nor one that is damaged", async () => {
  for (const text of [JSON.stringify({ stamp: "0", inventory: FOUND }), "{"]) {
    const t = setup([JSON.stringify(FOUND)]);
    t.kept.set("file", text);
    assert.equal((await t.get())?.os.distro, "Debian");
    assert.equal(t.calls.length, 1);
  }
});

Deno.test("HostInventory rests after a failure, and then tries again", async () => {
  const t = setup([new Error("no such program"), "not JSON", JSON.stringify(FOUND)]);
  assert.equal(await t.get(), undefined);
  assert.equal(await t.get(), undefined);
  assert.equal(t.calls.length, 1);
  t.pass(60_000);
  assert.equal(await t.get(), undefined);
  t.pass(60_000);
  assert.equal((await t.get())?.os.distro, "Debian");
  assert.equal(t.calls.length, 3);
});

Deno.test("HostInventory lets go of who cannot wait", async () => {
  const t = setup([JSON.stringify(FOUND)]);
  assert.equal(await t.get(AbortSignal.abort(new Error("over"))), undefined);
});
