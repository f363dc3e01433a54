import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeIndexRecord,
  encodeIndexHeader,
  encodeIndexRecords,
  endOfView,
  INDEX_RECORD_BYTES,
  type IndexRecord,
  isIndexHeader,
} from "@lib/spine/logs/log_index.ts";

const size = fc.maxSafeNat().map((value) => value % 2 ** 48);
const record: fc.Arbitrary<IndexRecord> = fc.record({
  stream: fc.constantFrom("merged", "stdout", "stderr"),
  timeMs: size,
  viewEnd: size,
  streamEnd: size,
}, { noNullPrototype: true });

Deno.test("decodeIndexRecord() reads what encodeIndexRecords() wrote", () => {
  fc.assert(fc.property(fc.array(record), (records) => {
    const bytes = encodeIndexRecords(records);
    const read = records.map((_, at) => decodeIndexRecord(bytes, at * INDEX_RECORD_BYTES));
    assert.deepEqual(read, records);
  }));
});

Deno.test("decodeIndexRecord() refuses a torn record", () => {
  fc.assert(fc.property(record, fc.nat(INDEX_RECORD_BYTES - 1), (one, kept) => {
    assert.equal(decodeIndexRecord(encodeIndexRecords([one]).subarray(0, kept), 0), undefined);
  }));
});

Deno.test("decodeIndexRecord() refuses zeros and a changed byte", () => {
  assert.equal(decodeIndexRecord(new Uint8Array(INDEX_RECORD_BYTES), 0), undefined);
  fc.assert(
    fc.property(record, fc.nat(INDEX_RECORD_BYTES - 1), fc.integer({ min: 1, max: 255 }), (
      one,
      at,
      flip,
    ) => {
      const bytes = encodeIndexRecords([one]);
      bytes[at] = (bytes[at] ?? 0) ^ flip;
      assert.equal(decodeIndexRecord(bytes, 0), undefined);
    }),
  );
});

Deno.test("decodeIndexRecord() reads from the middle of a larger buffer", () => {
  const one: IndexRecord = { stream: "stderr", timeMs: 1, viewEnd: 7, streamEnd: 3 };
  const bytes = new Uint8Array(64);
  bytes.set(encodeIndexRecords([one]), 30);
  assert.deepEqual(decodeIndexRecord(bytes.subarray(10), 20), one);
});

Deno.test("isIndexHeader() knows its own header and no other", () => {
  const header = encodeIndexHeader();
  assert.ok(isIndexHeader(header));
  assert.ok(!isIndexHeader(header.subarray(1)));
  header[7] = 2;
  assert.ok(!isIndexHeader(header));
});

Deno.test("endOfView() gives the size of each view", () => {
  const one: IndexRecord = { stream: "stderr", timeMs: 0, viewEnd: 10, streamEnd: 4 };
  assert.equal(endOfView(one, "all"), 10);
  assert.equal(endOfView(one, "stderr"), 4);
  assert.equal(endOfView(one, "stdout"), 6);
});
