import assert from "node:assert/strict";
import fc from "fast-check";
import { Demultiplexer } from "@lib/foundations/docker/demux.ts";

function frame(stream: number, bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(8 + bytes.length);
  whole[0] = stream;
  new DataView(whole.buffer).setUint32(4, bytes.length);
  whole.set(bytes, 8);
  return whole;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

Deno.test("Demultiplexer gives back the streams however the frames are cut", () => {
  const frames = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 40 })));
  fc.assert(fc.property(frames, fc.array(fc.integer({ min: 1, max: 30 })), (given, cuts) => {
    const whole = concat(given.map(([stream, bytes]) => frame(stream, bytes)));
    const demux = new Demultiplexer();
    const got: Record<"stdout" | "stderr", number[]> = { stdout: [], stderr: [] };
    let at = 0;
    for (const cut of [...cuts, whole.length]) {
      demux.take(whole.subarray(at, at + cut), (stream, bytes) => got[stream].push(...bytes));
      at += cut;
    }
    demux.end();
    for (const [name, number] of [["stdout", 1], ["stderr", 2]] as const) {
      const expected = given.filter(([stream]) => stream === number).map(([, bytes]) => bytes);
      assert.deepEqual(got[name], [...concat(expected)]);
    }
  }));
});

Deno.test("Demultiplexer keeps the order of the streams", () => {
  const order: string[] = [];
  new Demultiplexer().take(
    concat([1, 2, 0, 2].map((stream) => frame(stream, new Uint8Array(1)))),
    (stream) => order.push(stream),
  );
  assert.deepEqual(order, ["stdout", "stderr", "stdout", "stderr"]);
});

Deno.test("Demultiplexer rejects an invalid frame, and an end within one", () => {
  const sink = () => {};
  assert.throws(() => new Demultiplexer().take(new TextEncoder().encode("plain text"), sink));
  const cut = new Demultiplexer();
  cut.take(frame(1, new Uint8Array(9)).subarray(0, 12), sink);
  assert.throws(() => cut.end(), /within a frame/);
});
