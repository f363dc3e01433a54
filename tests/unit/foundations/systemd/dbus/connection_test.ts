import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { BusConnection, type MethodCall } from "@lib/foundations/systemd/dbus/connection.ts";
import {
  encodeMessage,
  isDBusError,
  type Message,
  signalMember,
} from "@lib/foundations/systemd/dbus/message.ts";
import { FakeBus, type FakeBusOptions } from "../../../../support/fake_bus.ts";

const signal = new AbortController().signal;

function method(member: string, text = "x"): MethodCall {
  return { destination: "a.b", path: "/a", interface: "a.b", member, signature: "s", body: [text] };
}

async function setup(options: FakeBusOptions = {}) {
  const fake = new FakeBus(options);
  const bus = await BusConnection.open(fake, signal);
  return { fake, bus, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
}

const echo = (call: Message) => ({ signature: "s", body: call.body ?? [] });
const isAway = (error: unknown) =>
  error instanceof CicdError && error.code === "systemd_unavailable";

Deno.test("BusConnection.open() authenticates and says hello", async () => {
  await using t = await setup();
  assert.equal(t.fake.received[0]?.member, "Hello");
});

Deno.test("BusConnection.open() says nothing of a bus to a service itself", async () => {
  const fake = new FakeBus({ answer: echo, isDirect: true });
  await using bus = await BusConnection.open(fake, signal, { isDirect: true });
  const heard: unknown[] = [];
  const rule = { sender: "a.b", path: "/a", interface: "a.b", member: "Heard" };
  await bus.subscribe(rule, (body) => heard.push(...body), { signal });
  for (const member of ["Heard", "Unheard"]) {
    fake.send({
      kind: "signal",
      path: "/a",
      interface: "a.b",
      member,
      signature: "s",
      body: [member],
    });
  }
  assert.deepEqual(await bus.call(method("M", "text"), { signal }), ["text"]);
  assert.deepEqual(heard, ["Heard"]);
  assert.deepEqual(fake.received.map(({ member }) => member), ["M"]);
});

Deno.test("a signal that nobody subscribed to is not decoded", async () => {
  await using t = await setup({ answer: echo });
  const bytes = encodeMessage({
    kind: "signal",
    serial: 7,
    path: "/a",
    interface: "a.b",
    member: "Unheard",
    sender: "a.b",
    signature: "s",
    body: ["text"],
  });
  // Its body would end the connection.
  bytes.fill(0xff, bytes.length - 9);
  t.fake.sendBytes(bytes);
  assert.deepEqual(await t.bus.call(method("M", "text"), { signal }), ["text"]);
});

Deno.test("signalMember() finds the member in either byte order, whatever precedes it", () => {
  const others = { path: "/a", interface: "a.b", sender: ":1.7", signature: "s", body: ["x"] };
  const big = Uint8Array.from([
    ...[0x42, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 28],
    ...[8, 1, 0x67, 0, 1, 0x73, 0, 0],
    ...[5, 1, 0x75, 0, 0, 0, 0, 9],
    ...[3, 1, 0x73, 0, 0, 0, 0, 3, 0x46, 0x6f, 0x6f, 0],
    ...[0, 0, 0, 0],
  ]);
  assert.equal(
    signalMember(encodeMessage({ kind: "signal", serial: 1, member: "Foo", ...others })),
    "Foo",
  );
  assert.equal(signalMember(big), "Foo");
  assert.equal(
    signalMember(encodeMessage({ kind: "call", serial: 1, member: "Foo", ...others })),
    undefined,
  );
});

Deno.test("BusConnection.open() fails and closes the stream when the bus refuses", async () => {
  for (const authAnswer of ["REJECTED EXTERNAL\r\n", "DATA\r\nREJECTED\r\n", "x".repeat(20_000)]) {
    const fake = new FakeBus({ authAnswer });
    await assert.rejects(BusConnection.open(fake, signal), isAway);
    assert(fake.closed);
  }
});

Deno.test("BusConnection.open() rejects with the signal's reason", async () => {
  const stop = new AbortController();
  const fake = new FakeBus({ authAnswer: "DATA\r\n" });
  const opening = BusConnection.open(fake, stop.signal);
  stop.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  assert(fake.closed);
});

Deno.test("call() matches replies to overlapping calls, over short reads and writes", async () => {
  await using t = await setup({ answer: echo, chunkBytes: 7 });
  const texts = Array.from({ length: 30 }, (_, index) => "é".repeat(index));
  const replies = await Promise.all(texts.map((text) => t.bus.call(method("M", text), { signal })));
  assert.deepEqual(replies.flat(), texts);
});

Deno.test("call() reads replies longer than the buffer", async () => {
  await using t = await setup({ answer: echo });
  const long = "x".repeat(300_000);
  assert.deepEqual(await t.bus.call(method("M", long), { signal }), [long]);
  assert.deepEqual(await t.bus.call(method("M", "short"), { signal }), ["short"]);
});

Deno.test("call() rejects with the error's name, and the connection stays", async () => {
  await using t = await setup({
    answer: (call) =>
      call.member === "Bad" ? { errorName: "x.Y", signature: "s", body: ["no"] } : echo(call),
  });
  await assert.rejects(
    t.bus.call(method("Bad"), { signal }),
    (error) => isDBusError(error, "x.Y") && error.code === "executor_failed",
  );
  assert.deepEqual(await t.bus.call(method("M"), { signal }), ["x"]);
});

Deno.test("call() rejects when no reply comes in time", async () => {
  await using t = await setup();
  await assert.rejects(t.bus.call(method("M"), { signal, timeoutMs: 0 }), isAway);
});

Deno.test("call() rejects with the signal's reason, and a late reply does no harm", async () => {
  await using t = await setup({
    answer: (call) => call.member === "Slow" ? undefined : echo(call),
  });
  const stop = new AbortController();
  const slow = t.bus.call(method("Slow"), { signal: stop.signal });
  await t.bus.call(method("M"), { signal });
  stop.abort(new Error("enough"));
  await assert.rejects(slow, /enough/);
  const serial = t.fake.received.find((message) => message.member === "Slow")?.serial ?? 0;
  t.fake.send({ kind: "reply", replySerial: serial, signature: "s", body: ["late"] });
  assert.deepEqual(await t.bus.call(method("M"), { signal }), ["x"]);
});

Deno.test("call() refuses more than 1024 waiting calls", async () => {
  await using t = await setup();
  const waiting = Promise.allSettled(
    Array.from({ length: 1_024 }, () => t.bus.call(method("M"), { signal })),
  );
  await assert.rejects(t.bus.call(method("M"), { signal }), /1024 calls are waiting/);
  t.fake.hangUp();
  assert((await waiting).every((result) => result.status === "rejected"));
});

Deno.test("closed resolves and waiting calls reject when the bus hangs up", async () => {
  await using t = await setup();
  const waiting = t.bus.call(method("M"), { signal });
  t.fake.hangUp();
  await assert.rejects(waiting, isAway);
  assert.equal((await t.bus.closed).kind, "lost");
  await assert.rejects(t.bus.call(method("M"), { signal }), isAway);
  assert(t.fake.closed);
});

Deno.test("closed resolves when the bus sends an invalid message", async () => {
  await using t = await setup();
  t.fake.sendBytes(new Uint8Array(64));
  const end = await t.bus.closed;
  assert(end.kind === "lost" && isAway(end.error));
});

Deno.test("dispose rejects waiting calls and may be repeated", async () => {
  const t = await setup();
  const waiting = t.bus.call(method("M"), { signal });
  const rejected = assert.rejects(waiting, isAway);
  await t.bus[Symbol.asyncDispose]();
  await t.bus[Symbol.asyncDispose]();
  await rejected;
  assert.deepEqual(await t.bus.closed, { kind: "disposed" });
});

Deno.test("subscribe() hands on matching signals only, in order", async () => {
  await using t = await setup({ answer: echo });
  const rule = { sender: ":1.7", path: "/a", interface: "a.b", member: "S", arg0: "it's" };
  const seen: unknown[] = [];
  await t.bus.subscribe(rule, (body) => seen.push(body[1]), { signal });
  const event = {
    kind: "signal",
    sender: ":1.7",
    path: "/a",
    interface: "a.b",
    member: "S",
  } as const;
  t.fake.send({ ...event, signature: "su", body: ["it's", 1] });
  t.fake.send({ ...event, signature: "su", body: ["other", 2] });
  t.fake.send({ ...event, sender: ":1.8", signature: "su", body: ["it's", 3] });
  t.fake.send({ ...event, member: "T", signature: "su", body: ["it's", 4] });
  t.fake.send({ ...event, signature: "su", body: ["it's", 5] });
  await t.bus.call(method("M"), { signal });
  assert.deepEqual(seen, [1, 5]);
  assert.equal(
    t.fake.received.find((message) => message.member === "AddMatch")?.body?.[0],
    "type='signal',sender=':1.7',path='/a',interface='a.b',member='S',arg0='it'\\''s'",
  );
});

Deno.test("a call from another client is answered with UnknownMethod", async () => {
  await using t = await setup({ answer: echo });
  t.fake.send({ kind: "call", sender: ":1.9", path: "/", interface: "q.r", member: "M" });
  await t.bus.call(method("M"), { signal });
  await t.bus.call(method("M"), { signal });
  const refusal = t.fake.received.find((message) => message.kind === "error");
  assert.equal(refusal?.destination, ":1.9");
  assert.equal(refusal?.errorName, "org.freedesktop.DBus.Error.UnknownMethod");
});
