import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { SendResult } from "@lib/foundations/systemd/libc.ts";
import { createNotifier } from "@lib/foundations/systemd/notify.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

function setup(
  variables: Readonly<Record<string, string>>,
  results: SendResult[] = [],
) {
  const env = new Map(Object.entries(variables));
  const sent: string[] = [];
  const clock = new FakeClock();
  const notifier = createNotifier({
    env,
    pid: 42,
    clock,
    monotonicMicros: () => 123n,
    sendDescriptor(address, bytes, fd) {
      sent.push(`${address} ${new TextDecoder().decode(bytes)} with ${fd}`);
      return { kind: "sent" };
    },
    send(address, bytes) {
      const result = results.shift() ?? { kind: "sent" };
      if (result.kind === "sent") sent.push(`${address} ${new TextDecoder().decode(bytes)}`);
      return result;
    },
  });
  return { env, sent, clock, notifier };
}

Deno.test("createNotifier() sends each message in the manager's words", async () => {
  const { notifier, sent, env } = setup({ NOTIFY_SOCKET: "@n", OTHER: "stays" });
  await notifier.ready("2 projects");
  await notifier.status("busy");
  await notifier.reloading();
  await notifier.watchdogPing();
  await notifier.stopping();
  assert.deepEqual(sent, [
    "@n READY=1\nSTATUS=2 projects",
    "@n STATUS=busy",
    "@n RELOADING=1\nMONOTONIC_USEC=123",
    "@n WATCHDOG=1",
    "@n STOPPING=1",
  ]);
  assert.deepEqual([...env.keys()], ["OTHER"]);
});

Deno.test("createNotifier() gives descriptors to the manager, and takes them back", async () => {
  const { notifier, sent } = setup({ NOTIFY_SOCKET: "@n" });
  assert.equal(notifier.keepsDescriptors, true);
  await notifier.keepDescriptor("kept-1-master", 7);
  await notifier.dropDescriptor("kept-1-master");
  assert.deepEqual(sent, [
    "@n FDSTORE=1\nFDNAME=kept-1-master\nFDPOLL=0 with 7",
    "@n FDSTOREREMOVE=1\nFDNAME=kept-1-master",
  ]);
  assert.equal(setup({}).notifier.keepsDescriptors, false);
});

Deno.test("createNotifier() lets no status add an assignment", async () => {
  const { notifier, sent } = setup({ NOTIFY_SOCKET: "/n" });
  await notifier.status("a\nMAINPID=1\r\nb");
  assert.deepEqual(sent, ["/n STATUS=a MAINPID=1 b"]);
});

Deno.test("createNotifier() does nothing without a manager, and still takes the variables", async () => {
  const { notifier, sent, env } = setup({ WATCHDOG_USEC: "1000" });
  await notifier.ready("x");
  assert.deepEqual(sent, []);
  assert.equal(notifier.watchdogIntervalMs, undefined);
  assert.equal(env.size, 0);
});

Deno.test("createNotifier() tries again while the manager's queue is full", async () => {
  const { notifier, sent, clock } = setup({ NOTIFY_SOCKET: "/n" }, [
    { kind: "would_block" },
    { kind: "would_block" },
  ]);
  const ready = notifier.ready("x");
  await clock.tick(1_000);
  await ready;
  assert.equal(sent.length, 1);
});

Deno.test("createNotifier() gives up after a second, and at once on an error", async () => {
  const full = Array.from({ length: 99 }, (): SendResult => ({ kind: "would_block" }));
  const stuck = setup({ NOTIFY_SOCKET: "/n" }, full);
  const rejected = assert.rejects(stuck.notifier.ready("x"), /queue is full/);
  await stuck.clock.tick(2_000);
  await rejected;
  const gone = setup({ NOTIFY_SOCKET: "/n" }, [{ kind: "failed", errno: 2 }]);
  await assert.rejects(gone.notifier.ready("x"), /errno is 2/);
});

Deno.test("watchdogIntervalMs is for this process only", () => {
  const base = { NOTIFY_SOCKET: "/n", WATCHDOG_USEC: "30000000" };
  assert.equal(setup(base).notifier.watchdogIntervalMs, 30_000);
  assert.equal(setup({ ...base, WATCHDOG_PID: "42" }).notifier.watchdogIntervalMs, 30_000);
  assert.equal(setup({ ...base, WATCHDOG_PID: "7" }).notifier.watchdogIntervalMs, undefined);
});

Deno.test("createNotifier() refuses malformed variables", () => {
  assert.throws(() => setup({ NOTIFY_SOCKET: "vsock:2:1" }), CicdError);
  assert.throws(() => setup({ NOTIFY_SOCKET: "/n", WATCHDOG_USEC: "0" }), CicdError);
});
