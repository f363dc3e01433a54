import assert from "node:assert/strict";
import { openLedger } from "./_fakes.ts";

Deno.test("GrytLedger finds the open and the latest job of a number", () => {
  using t = openLedger();
  const first = t.addGryt(7);
  assert.equal(t.ledger.open(7), first);
  t.end(first);
  assert.equal(t.ledger.open(7), undefined);
  assert.equal(t.ledger.latest(7), first);
  const second = t.addGryt(7);
  assert.equal(t.ledger.open(7), second);
  assert.equal(t.ledger.latest(7), second);
  assert.equal(t.ledger.grytIdOf(first), 7);
  assert.equal(t.ledger.latest(8), undefined);
});

Deno.test("GrytLedger.settle() counts a job once, and again after a further attempt", () => {
  using t = openLedger();
  const id = t.addGryt(7);
  assert.deepEqual(t.ledger.withoutVerdict(10), []);
  t.end(id);
  assert.deepEqual(t.ledger.withoutVerdict(10), [{ jobId: id, grytId: 7 }]);
  const job = t.store.require(id);
  assert.equal(t.ledger.verdict(job), undefined);
  t.ledger.settle(job, { success: false, seconds: 2 });
  t.ledger.settle(job, { success: true, seconds: 5 });
  assert.equal(t.ledger.verdict(job), false);
  assert.deepEqual(t.ledger.withoutVerdict(10), []);
  t.ledger.settle({ ...job, attempt: 2 }, { success: true, seconds: 3 });
  assert.deepEqual(t.ledger.totals(), {
    succeeded: { jobs: 1, seconds: 3 },
    failed: { jobs: 1, seconds: 2 },
  });
});

Deno.test("GrytLedger.leased() names the open jobs that were pulled", () => {
  using t = openLedger();
  t.addGryt(1);
  const pulled = t.addGryt(2, { leaseMs: 30_000 });
  assert.deepEqual(t.ledger.leased(), [{ jobId: pulled, grytId: 2, leaseMs: 30_000 }]);
  t.end(pulled);
  assert.deepEqual(t.ledger.leased(), []);
});

Deno.test("OutboxStore owes nothing for a job that goes on, nor for one whose record is gone", () => {
  using t = openLedger();
  const id = t.addGryt(7, { owed: { url: "https://example.org/x", kind: "callback" } });
  assert.equal(t.outbox.pending(), 0);
  assert.equal(t.outbox.nextAt(), undefined);
  t.end(id);
  assert.equal(t.outbox.pending(), 1);
  assert.deepEqual(t.outbox.due(0, 5), [
    { jobId: id, grytId: 7, url: "https://example.org/x", kind: "callback", tries: 0 },
  ]);
  t.store.remove(id);
  assert.equal(t.outbox.pending(), 0);
  assert.equal(t.ledger.latest(7), undefined);
});
