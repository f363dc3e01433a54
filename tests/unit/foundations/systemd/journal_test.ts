import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createJournalWriter,
  encodeJournalEntry,
  journalFieldName,
} from "@lib/foundations/systemd/journal.ts";
import type { SendResult } from "@lib/foundations/systemd/libc.ts";

Deno.test("encodeJournalEntry() writes one-line values as they are", () => {
  const bytes = encodeJournalEntry({ MESSAGE: "é=1", PRIORITY: "6" });
  assert.equal(new TextDecoder().decode(bytes), "MESSAGE=é=1\nPRIORITY=6\n");
});

Deno.test("encodeJournalEntry() precedes values of many lines by their length", () => {
  const bytes = encodeJournalEntry({ MESSAGE: "a\nb" });
  assert.equal(new TextDecoder().decode(bytes), "MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n");
});

Deno.test("encodeJournalEntry() stays below 64 KiB, cuts between characters and says so", () => {
  const bytes = encodeJournalEntry({ MESSAGE: "é".repeat(40_000), A: "x".repeat(40_000), B: "b" });
  assert(bytes.length <= 65_536);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  assert.match(text, /^MESSAGE=é+ \[47232 bytes cut\]\n/);
  assert(text.endsWith("B=b\n"));
});

Deno.test("journalFieldName() makes a valid name of any input, or none", () => {
  assert.equal(journalFieldName("job.id"), "JOB_ID");
  assert.equal(journalFieldName("_PID"), "PID");
  assert.equal(journalFieldName("1_"), undefined);
  fc.assert(fc.property(fc.string(), (key) => {
    assert.match(journalFieldName(key) ?? "A", /^[A-Z][A-Z0-9_]{0,63}$/);
  }));
});

Deno.test("createJournalWriter() tells what the journal does not accept", () => {
  const results: SendResult[] = [
    { kind: "sent" },
    { kind: "would_block" },
    { kind: "failed", errno: 111 },
  ];
  let disposed = false;
  {
    using writer = createJournalWriter({
      send: () => results.shift() ?? { kind: "sent" },
      [Symbol.dispose]: () => disposed = true,
    });
    const taken = Array.from({ length: 4 }, () => writer.write({ MESSAGE: "x" }));
    assert.deepEqual(taken, [true, false, false, true]);
  }
  assert(disposed);
});
