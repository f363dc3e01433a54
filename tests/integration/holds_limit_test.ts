import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { newJobId, parseProjectName } from "@lib/core/ids.ts";
import { Holds } from "@lib/spine/attempts/holds.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import { RecordingLogger } from "../support/recording_logger.ts";

const project = parseProjectName("web") ?? assert.fail();

/** A project without a service manager, and its holds. */
function setup(stateDir: string, onHoldEnded: () => Promise<void>) {
  const log = new RecordingLogger();
  const holds = new Holds({
    project,
    stateDir,
    bootId: "b",
    executor: {},
    holdMaxMs: () => 3_600_000,
    onHoldEnded,
    clock: systemClock,
    log,
  });
  const cut = new AbortController();
  const released: string[] = [];
  const take = (ref: AttemptRef) => {
    holds.take(ref);
    const until = Date.now() + 3_600_000;
    return holds.end({ ref, until }, () => released.push(ref.jobId), cut.signal);
  };
  return { holds, take, released, log, [Symbol.dispose]: () => cut.abort() };
}

Deno.test("Holds ends as many of the oldest as there are too many, however slowly they end", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "holds-" });
  const gate = Promise.withResolvers<void>();
  try {
    using t = setup(stateDir, () => gate.promise);
    const refs = Array.from({ length: 19 }, () => ({ project, jobId: newJobId(), number: 1 }));
    const ends = refs.map((ref) => t.take(ref));
    gate.resolve();
    await Promise.all(ends.slice(0, 3));
    assert.deepEqual([...t.released].sort(), refs.slice(0, 3).map(({ jobId }) => jobId).sort());
    assert.equal(t.holds.size, 16);
    void Promise.allSettled(ends);
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});

Deno.test("Holds is done with a hold though what was begun in it cannot be ended", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "holds-" });
  try {
    using t = setup(stateDir, () => Promise.reject(new Error("no agent")));
    const ref = { project, jobId: newJobId(), number: 1 };
    const end = t.take(ref);
    assert.equal(await t.holds.release(ref, AbortSignal.timeout(10_000)), true);
    await end;
    assert.equal(t.holds.size, 0);
    assert.deepEqual(t.log.of("warning"), [
      "Cannot end what was begun in a hold",
    ]);
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});
