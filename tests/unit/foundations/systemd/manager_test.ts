import assert from "node:assert/strict";
import type { Message } from "@lib/foundations/systemd/dbus/message.ts";
import { UserManager } from "@lib/foundations/systemd/manager.ts";
import { parseUnitName } from "@lib/foundations/systemd/unit_name.ts";
import { unitProperty } from "@lib/foundations/systemd/unit_property.ts";
import { type Answer, FakeBus } from "../../../support/fake_bus.ts";

const signal = new AbortController().signal;
const PATH = "/org/freedesktop/systemd1";

function unit(name: string) {
  const parsed = parseUnitName(name);
  assert(parsed !== undefined);
  return parsed;
}

async function setup(answer: (call: Message, bus: FakeBus) => Answer) {
  const bus: FakeBus = new FakeBus({
    answer: (call) =>
      call.member === "GetNameOwner"
        ? { signature: "s", body: [":1.1"] }
        : call.member === "Subscribe"
        ? {}
        : answer(call, bus),
  });
  const manager = await UserManager.over(bus, signal);
  return { bus, manager, [Symbol.asyncDispose]: () => manager[Symbol.asyncDispose]() };
}

function jobRemoved(bus: FakeBus, path: string, name: string, result: string): void {
  bus.send({
    kind: "signal",
    sender: ":1.1",
    path: PATH,
    interface: "org.freedesktop.systemd1.Manager",
    member: "JobRemoved",
    signature: "uoss",
    body: [1, path, name, result],
  });
}

function refusal(errorName: string): Answer {
  return { errorName, signature: "s", body: ["no"] };
}

Deno.test("UserManager.over() needs no bus", async () => {
  const service = new FakeBus({ isDirect: true, answer: () => ({}) });
  await using manager = await UserManager.over(service, signal, { isDirect: true });
  const removed = Promise.withResolvers<string>();
  using _listener = manager.onUnitRemoved(removed.resolve);
  service.send({
    kind: "signal",
    path: PATH,
    interface: "org.freedesktop.systemd1.Manager",
    member: "UnitRemoved",
    signature: "so",
    body: ["cicd-job-x.service", `${PATH}/unit/x`],
  });
  assert.equal(await removed.promise, "cicd-job-x.service");
  service.hangUp();
  assert.equal((await manager.closed).kind, "lost");
});

Deno.test("startTransientService() distinguishes a fresh start from an earlier one", async () => {
  let exists = false;
  await using t = await setup(() =>
    exists
      ? refusal("org.freedesktop.systemd1.UnitExists")
      : { signature: "o", body: [`${PATH}/job/1`] }
  );
  const properties = [unitProperty.description("x")];
  const name = unit("cicd-job-x.service");
  assert.equal(await t.manager.startTransientService(name, properties, signal), "started");
  exists = true;
  assert.equal(await t.manager.startTransientService(name, properties, signal), "exists");
  const call = t.bus.received.find((message) => message.member === "StartTransientUnit");
  assert.deepEqual(call?.body, [
    "cicd-job-x.service",
    "fail",
    [["Description", { signature: "s", value: "x" }]],
    [],
  ]);
});

Deno.test("terminatingProcesses() lists what SIGTERM has left, and never what records the end", async () => {
  let state = "stop-sigterm";
  await using t = await setup(({ member }) => {
    switch (member) {
      case "GetUnit":
        return { signature: "o", body: [`${PATH}/unit/x`] };
      case "GetUnitProcesses":
        return { signature: "a(sus)", body: [[["/x", 41, "sleep 1000"], ["/x", 42, "sh"]]] };
      default:
        return { signature: "v", body: [{ signature: "s", value: state }] };
    }
  });
  const name = unit("cicd-job-x.service");
  assert.deepEqual(await t.manager.terminatingProcesses(name, signal), [41, 42]);
  const asked = t.bus.received.map(({ member }) => member);
  assert.deepEqual(asked.slice(-3), ["GetUnit", "GetUnitProcesses", "Get"]);
  state = "stop-post";
  assert.deepEqual(await t.manager.terminatingProcesses(name, signal), []);
  state = "final-sigterm";
  assert.deepEqual(await t.manager.terminatingProcesses(name, signal), [41, 42]);
});

Deno.test("startUnit() takes a result that arrives before, or after, the reply", async () => {
  for (const early of [true, false]) {
    await using t = await setup((call, bus) => {
      if (early) jobRemoved(bus, "/job/2", "a.service", "done");
      if (call.member !== "StartUnit") jobRemoved(bus, "/job/2", "a.service", "done");
      jobRemoved(bus, "/job/2", "b.service", "failed");
      jobRemoved(bus, "/job/1", "a.service", "canceled");
      return call.member === "StartUnit" ? { signature: "o", body: ["/job/2"] } : {};
    });
    const started = t.manager.startUnit(unit("a.service"), signal);
    if (!early) await t.manager.stopUnit(unit("c.service"), signal);
    assert.equal(await started, "done");
  }
});

Deno.test("startUnit() rejects when the connection ends first", async () => {
  await using t = await setup((_call, bus) => {
    queueMicrotask(() => bus.hangUp());
    return { signature: "o", body: ["/job/2"] };
  });
  await assert.rejects(t.manager.startUnit(unit("a.service"), signal), /closed/);
});

Deno.test("stopUnit() and resetFailed() accept that a unit is not loaded", async () => {
  await using t = await setup(() => refusal("org.freedesktop.systemd1.NoSuchUnit"));
  const name = unit("a.service");
  await t.manager.stopUnit(name, signal);
  await t.manager.resetFailed(name, signal);
  assert.equal(await t.manager.unitExists(name, signal), false);
});

for (const state of ["loaded", "not-found", "masked"]) {
  Deno.test(`hasUnitFile() distinguishes a unit that is ${state}`, async () => {
    await using t = await setup((call) => {
      if (call.member === "LoadUnit") return { signature: "o", body: ["/u"] };
      assert.deepEqual(call.body, ["org.freedesktop.systemd1.Unit", "LoadState"]);
      return { signature: "v", body: [{ signature: "s", value: state }] };
    });
    const found = await t.manager.hasUnitFile(unit("cicd-agent@web.socket"), signal);
    assert.equal(found, state === "loaded");
  });
}

Deno.test("readState() reads how a service ended, and the result of a socket", async () => {
  const values: Readonly<Record<string, string | number>> = {
    LoadState: "loaded",
    ActiveState: "failed",
    SubState: "failed",
    Result: "exit-code",
    ExecMainCode: 1,
    ExecMainStatus: 203,
  };
  await using t = await setup((call) => {
    if (call.member === "LoadUnit") return { signature: "o", body: ["/u"] };
    const [kind, property] = call.body ?? [];
    const isOfUnit = String(property).endsWith("State");
    assert.match(String(kind), isOfUnit ? /\.Unit$/ : /\.(Service|Socket)$/);
    const value = values[String(property)] ?? "";
    return { signature: "v", body: [{ signature: typeof value === "number" ? "i" : "s", value }] };
  });
  const state = { load: "loaded", active: "failed", sub: "failed", result: "exit-code" };
  assert.deepEqual(
    await t.manager.readState(unit("cicd-agent@web.service"), signal),
    { ...state, exit: { code: 1, status: 203 } },
  );
  assert.deepEqual(
    await t.manager.readState(unit("cicd-agent@web.socket"), signal),
    { ...state, exit: { code: 0, status: 0 } },
  );
});

Deno.test("readUsage() loads a unit and reads the properties of its kind", async () => {
  await using t = await setup((call) => {
    if (call.member === "LoadUnit") return { signature: "o", body: ["/u"] };
    const [kind, property] = call.body ?? [];
    assert.equal(kind, "org.freedesktop.systemd1.Slice");
    const value = property === "TasksCurrent" ? 7n : 2n ** 64n - 1n;
    return { signature: "v", body: [{ signature: "t", value }] };
  });
  assert.deepEqual(await t.manager.readUsage(unit("cicd-web.slice"), signal), { tasks: 7 });
});

Deno.test("readLimits() takes the default number of tasks of every service for no limit", async () => {
  for (const [tasks, expected] of [[28_965n, {}], [500n, { tasksMax: 500 }]] as const) {
    await using t = await setup((call) => {
      if (call.member === "LoadUnit") return { signature: "o", body: ["/u"] };
      const property = String(call.body?.[1]);
      const value = property === "TasksMax"
        ? tasks
        : property === "DefaultTasksMax"
        ? 28_965n
        : 2n ** 64n - 1n;
      return { signature: "v", body: [{ signature: "t", value }] };
    });
    const limits = await t.manager.readLimits(unit("cicd-agent@web.service"), signal);
    assert.deepEqual(limits, expected);
  }
});
