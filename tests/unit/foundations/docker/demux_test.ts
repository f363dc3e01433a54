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

Deno.test("Demultiplexer takes the times from the records, however the frames are cut", () => {
  const record = fc.record({
    stream: fc.constantFrom(1, 2),
    stamp: fc.constantFrom("2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:00.000000001+05:30"),
    bytes: fc.uint8Array({ maxLength: 40 }),
  });
  const encoder = new TextEncoder();
  fc.assert(
    fc.property(fc.array(record), fc.array(fc.integer({ min: 1, max: 30 })), (all, cuts) => {
      const whole = concat(
        all.map(({ stream, stamp, bytes }) =>
          frame(stream, concat([encoder.encode(`${stamp} `), bytes]))
        ),
      );
      const got: { stream: number; stamp: string; length: number; bytes: number[] }[] = [];
      const demux = new Demultiplexer((stream, length, stamp) => {
        const number = stream === "stdout" ? 1 : 2;
        got.push({ stream: number, length, stamp: new TextDecoder().decode(stamp), bytes: [] });
      });
      let at = 0;
      for (const cut of [...cuts, whole.length]) {
        demux.take(whole.subarray(at, at + cut), (_, bytes) => got.at(-1)?.bytes.push(...bytes));
        at += cut;
      }
      demux.end();
      const expected = all.map(({ stream, stamp, bytes }) => (
        { stream, stamp, length: bytes.length, bytes: [...bytes] }
      ));
      assert.deepEqual(got, expected);
    }),
  );
});

Deno.test("Demultiplexer rejects a record without a time", () => {
  for (const text of ["short", "x".repeat(100)]) {
    const demux = new Demultiplexer(() => {});
    assert.throws(
      () => demux.take(frame(1, new TextEncoder().encode(text)), () => {}),
      /a record has no time/,
    );
  }
});
