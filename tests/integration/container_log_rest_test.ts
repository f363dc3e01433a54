import assert from "node:assert/strict";
import { copyOutput, copyRest } from "@lib/features/containers/container_log.ts";
import { RecentRecords } from "@lib/features/containers/recent_records.ts";
import { systemClock } from "@lib/core/clock.ts";
import { Bench, deadline, script } from "../support/executor_contract.ts";

const OPTIONS = {
  name: "no executor",
  create: () => Promise.reject(new TypeError("No job runs in this test")),
};

/** Frames of some records of a log, with their times; every fifth is of stderr. */
async function* frames(begin: number, end: number): AsyncGenerator<Uint8Array> {
  for (let i = begin; i < end; i++) {
    const text = `2026-01-01T00:00:00.${String(i).padStart(9, "0")}Z same\n`;
    const payload = new TextEncoder().encode(text);
    const frame = new Uint8Array(8 + payload.length);
    frame[0] = i % 5 === 0 ? 2 : 1;
    new DataView(frame.buffer).setUint32(4, payload.length);
    frame.set(payload, 8);
    yield await Promise.resolve(frame);
  }
}

Deno.test("copyRest() appends what the engine cut off, once, to each stream", async () => {
  for (const output of ["merged", "split"] as const) {
    await using bench = new Bench(OPTIONS);
    const request = bench.request(script("true"), { output });
    const streams = output === "merged" ? ["merged"] as const : ["stdout", "stderr"] as const;
    for (const name of streams) Deno.writeTextFileSync(request.directory.logFile(name), "");
    const bytes = () => streams.map((name) => Deno.statSync(request.directory.logFile(name)).size);
    const recent = new RecentRecords();
    await copyOutput(request, frames(0, 960), { recent, clock: systemClock, signal: deadline() });
    assert.deepEqual(bytes(), output === "merged" ? [960 * 5] : [768 * 5, 192 * 5]);
    assert.equal(await copyRest(request, frames(980, 1_000), recent), false);
    assert.deepEqual(bytes(), output === "merged" ? [960 * 5] : [768 * 5, 192 * 5]);
    assert.equal(await copyRest(request, frames(900, 1_000), recent), true);
    assert.deepEqual(bytes(), output === "merged" ? [1_000 * 5] : [800 * 5, 200 * 5]);
  }
});

Deno.test("copyRest() keeps to the cap", async () => {
  await using bench = new Bench(OPTIONS);
  const request = bench.request(script("true"), { logMaxBytes: 970 * 5 });
  const path = request.directory.logFile("merged");
  Deno.writeTextFileSync(path, "");
  const recent = new RecentRecords();
  await copyOutput(request, frames(0, 960), { recent, clock: systemClock, signal: deadline() });
  assert.equal(await copyRest(request, frames(900, 1_000), recent), true);
  const { size } = Deno.statSync(path);
  // The recorder learns of what was dropped by the length, and cuts it off.
  assert.equal(size, 1_000 * 5);
  assert(!Deno.readFileSync(path).subarray(0, 970 * 5).includes(0));
});
