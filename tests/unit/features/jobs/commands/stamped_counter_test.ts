import assert from "node:assert/strict";
import { plainCounter, stampedCounter } from "@lib/features/jobs/commands/follow_log.ts";
import { bytesOf, textOf } from "../../../api/client/_fakes.ts";

const STAMP = "2026-01-02T03:04:05.678Z ";

Deno.test("stampedCounter() counts lines without their stamps", () => {
  const { bytes, consumed } = stampedCounter().take(bytesOf(`${STAMP}one\n${STAMP}two\n`));
  assert.equal(textOf([bytes]), `${STAMP}one\n${STAMP}two\n`);
  assert.equal(consumed, 8);
});

Deno.test("stampedCounter() holds a stamp back until it is whole", () => {
  const counter = stampedCounter();
  const first = counter.take(bytesOf(`${STAMP}one\n2026-`));
  assert.deepEqual([textOf([first.bytes]), first.consumed], [`${STAMP}one\n`, 4]);
  const second = counter.take(bytesOf("01-02T03:04:05.678Z two"));
  assert.deepEqual([textOf([second.bytes]), second.consumed], [`${STAMP}two`, 3]);
});

Deno.test("stampedCounter() forgets what was held when a new stream begins", () => {
  const counter = stampedCounter();
  counter.take(bytesOf(`${STAMP}one\n2026-`));
  counter.begin();
  assert.equal(counter.take(bytesOf(`${STAMP}two\n`)).consumed, 4);
});

Deno.test("stampedCounter() handles a reading that begins within a line", () => {
  const { bytes, consumed } = stampedCounter().take(bytesOf(`the rest of a long line\n${STAMP}x`));
  assert.equal(textOf([bytes]), `the rest of a long line\n${STAMP}x`);
  assert.equal(consumed, 25);
});

Deno.test("stampedCounter() returns what it held back at the end", () => {
  const counter = stampedCounter();
  assert.equal(counter.take(bytesOf("end")).bytes.length, 0);
  assert.deepEqual(counter.flush(), { bytes: bytesOf("end"), consumed: 3 });
  assert.equal(counter.flush().consumed, 0);
});

Deno.test("stampedCounter() never gives a part of a stamp", () => {
  const counter = stampedCounter();
  counter.take(bytesOf(`${STAMP}one\n2026-`));
  assert.equal(counter.flush().bytes.length, 0);
});

Deno.test("plainCounter() counts every byte", () => {
  assert.equal(plainCounter().take(bytesOf("ä\n")).consumed, 3);
});
