import assert from "node:assert/strict";
import { RecentRecords, type TailRecord } from "@lib/features/containers/recent_records.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Record `i` of a log; all have the same text. */
function record(
  i: number,
  stamp = `2026-01-01T00:00:00.${String(i).padStart(9, "0")}Z`,
): TailRecord {
  return { stream: i % 5 === 0 ? "stderr" : "stdout", stamp, bytes: bytesOf("y\n") };
}

/** What is missing after some records of a log were read, by its last 100. */
function missing(read: number, log: readonly TailRecord[]): number | undefined {
  const recent = new RecentRecords();
  for (const { stream, stamp, bytes } of log.slice(0, read)) {
    recent.add(stream, bytes.length, bytesOf(stamp));
  }
  assert.equal(recent.count, read);
  return recent.missingOf(log.slice(-100))?.length;
}

Deno.test("RecentRecords finds what is missing of lines that are all the same", () => {
  const log = Array.from({ length: 1_000 }, (_, i) => record(i));
  assert.equal(missing(1_000, log), 0);
  assert.equal(missing(999, log), 1);
  assert.equal(missing(916, log), 84);
});

Deno.test("RecentRecords does not guess", () => {
  const log = Array.from({ length: 1_000 }, (_, i) => record(i));
  // The tail begins after the last one read, or within what is compared.
  assert.equal(missing(800, log), undefined);
  assert.equal(missing(915, log), undefined);
  // Too few records, times that are all the same, and a sequence that is there twice.
  assert.equal(missing(15, log.slice(0, 20)), undefined);
  assert.equal(missing(999, log.map((_, i) => record(i, "now"))), undefined);
  assert.equal(missing(990, log.map((_, i) => record(i, String(i % 10)))), undefined);
});
