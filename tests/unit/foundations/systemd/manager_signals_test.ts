import assert from "node:assert/strict";
import { BusConnection } from "@lib/foundations/systemd/dbus/connection.ts";
import type { Message } from "@lib/foundations/systemd/dbus/message.ts";
import type { DBusValue } from "@lib/foundations/systemd/dbus/types.ts";
import { ManagerSignals } from "@lib/foundations/systemd/manager_signals.ts";
import { FakeBus } from "../../../support/fake_bus.ts";

const signal = new AbortController().signal;

async function setup() {
  const fake = new FakeBus({
    answer: (call: Message) =>
      call.member === "GetNameOwner" ? { signature: "s", body: [":1.1"] } : {},
  });
  const bus = await BusConnection.open(fake, signal);
  const signals = await ManagerSignals.subscribe(bus, signal);
  const log: string[] = [];
  signals.unitRemoved.add((unit) => log.push(`removed ${unit}`));
  signals.jobRemoved.add((job) => log.push(`job ${job.unit} ${job.result}`));
  signals.reloaded.add(() => log.push("reloaded"));
  const emit = (member: string, signature: string, body: readonly DBusValue[]) =>
    fake.send({
      kind: "signal",
      sender: ":1.1",
      path: "/org/freedesktop/systemd1",
      interface: "org.freedesktop.systemd1.Manager",
      member,
      signature,
      body,
    });
  const settle = () =>
    bus.call({ destination: "x.y", path: "/", interface: "x.y", member: "Z" }, { signal });
  return {
    fake,
    bus,
    log,
    emit,
    settle,
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  };
}

Deno.test("ManagerSignals hands on removed units and finished jobs", async () => {
  await using t = await setup();
  t.emit("JobRemoved", "uoss", [1, "/j/1", "a.service", "done"]);
  t.emit("UnitRemoved", "so", ["a.service", "/u/a"]);
  await t.settle();
  assert.deepEqual(t.log, ["job a.service done", "removed a.service"]);
});

Deno.test("ManagerSignals does not believe the removals of a reload", async () => {
  await using t = await setup();
  t.emit("Reloading", "b", [true]);
  t.emit("UnitRemoved", "so", ["a.service", "/u/a"]);
  t.emit("Reloading", "b", [false]);
  t.emit("UnitRemoved", "so", ["b.service", "/u/b"]);
  await t.settle();
  assert.deepEqual(t.log, ["reloaded", "removed b.service"]);
});

Deno.test("ManagerSignals ends the connection when the manager leaves the bus", async () => {
  await using t = await setup();
  t.fake.send({
    kind: "signal",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "NameOwnerChanged",
    signature: "sss",
    body: ["org.freedesktop.systemd1", ":1.1", ""],
  });
  const end = await t.bus.closed;
  assert(end.kind === "lost");
  assert.match(end.error.message, /left the bus/);
});
