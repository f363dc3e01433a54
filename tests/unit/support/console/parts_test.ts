import assert from "node:assert/strict";
import { Instances } from "../../../support/console/instances.ts";
import { limiterKey, StrictLimiter } from "../../../support/console/limiter.ts";
import { fragments, OPCODES, rawFrame } from "../../../support/console/raw_frame.ts";
import type { Registration } from "../../../support/console/registration_rules.ts";

const REGISTRATION: Registration = {
  instanceId: "web",
  hostname: "web",
  provider: "fly",
  region: undefined,
  distro: undefined,
  extensions: [],
};

Deno.test("StrictLimiter accepts 10 requests a minute and says when the next one may come", () => {
  const limiter = new StrictLimiter();
  for (let n = 0; n < 10; n++) assert.equal(limiter.take("unknown", n), undefined);
  assert.equal(limiter.take("unknown", 10), 60);
  assert.equal(limiter.take("other", 10), undefined);
  assert.equal(limiter.take("unknown", 59_500), 1);
  assert.equal(limiter.take("unknown", 60_000), undefined);
});

Deno.test("limiterKey() is one for all agents that no proxy forwards", () => {
  assert.equal(limiterKey(new Headers()), "unknown");
  assert.equal(limiterKey(new Headers({ "x-forwarded-for": "1.2.3.4, 5.6.7.8" })), "1.2.3.4");
  assert.equal(limiterKey(new Headers({ "x-real-ip": "1.2.3.4" })), "1.2.3.4");
});

Deno.test("Instances.register() creates a row under a new id, and updates it by name or id", () => {
  const table = new Instances(30_000);
  const row = table.register(REGISTRATION);
  assert.notEqual(row.id, "web");
  assert.match(row.id, /^c[0-9a-z]{24}$/);
  assert.equal(table.register(REGISTRATION), row);
  assert.equal(table.register({ ...REGISTRATION, instanceId: row.id, hostname: row.id }), row);
  assert.equal(table.all.length, 1);
});

Deno.test("Instances.register() makes a second row of an instance in ERROR", () => {
  const table = new Instances(30_000);
  const row = table.register({ ...REGISTRATION, extensions: ["nodejs"] });
  table.closed(row.id);
  assert.equal(row.status, "ERROR");
  table.beat(row.id, 0);
  assert.equal(row.status, "RUNNING");
  table.closed(row.id);
  assert.notEqual(table.register({ ...REGISTRATION, instanceId: row.id }), row);
  assert.equal(table.all.length, 2);
});

Deno.test("Instances.register() without extensions forgets the stored ones", () => {
  const table = new Instances(30_000);
  const row = table.register({ ...REGISTRATION, extensions: ["nodejs"] });
  table.register(REGISTRATION);
  assert.deepEqual(row.extensions, []);
});

Deno.test("rawFrame() writes each of the three lengths", () => {
  assert.deepEqual([...rawFrame(OPCODES.text, new Uint8Array([1]))], [0x81, 1, 1]);
  const middle = rawFrame(OPCODES.binary, new Uint8Array(200));
  assert.deepEqual([...middle.subarray(0, 4)], [0x82, 126, 0, 200]);
  const large = rawFrame(OPCODES.text, new Uint8Array(65_536), false);
  assert.deepEqual([...large.subarray(0, 10)], [1, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
});

Deno.test("fragments() cuts a message in the middle of a character", () => {
  assert.deepEqual(fragments("ä", [1]).map((frame) => [...frame]), [
    [0x01, 1, 0xc3],
    [0x80, 1, 0xa4],
  ]);
});
