import assert from "node:assert/strict";
import { Intake } from "@lib/spine/queue/intake.ts";
import { submitJobSoon } from "@lib/spine/queue/submit.ts";
import { plainDefaults } from "../../../support/api_fixture.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { openMemoryStore, projectName } from "../../../support/job_fixtures.ts";

Deno.test("a job that waits for its commit is refused if a drain begins before it", async () => {
  const due: (() => void)[] = [];
  using t = openMemoryStore({ schedule: { soon: (store) => void due.push(store), later() {} } });
  const clock = new FakeClock(1_000);
  const intake = new Intake({
    store: t.store,
    clock,
    limits: () => ({ maxQueued: 10, minFreeDiskBytes: 0 }),
    stateDir: "/",
    reserveProblem: () => undefined,
  });
  const ports = {
    store: t.store,
    clock,
    intake: {
      assertOpen: intake.assertOpen.bind(intake),
      assertRoom: intake.assertRoom.bind(intake),
      // Unit tests may not look at the disk.
      assertDisk() {},
    },
    defaultsOf: plainDefaults,
    seal: () => new Uint8Array(),
  };
  const submitted = submitJobSoon(ports, { project: "web", script: "true" }, {
    caller: { kind: "local" },
    idempotencyKey: null,
  });
  t.store.setIntakeMode(projectName(), "draining");
  for (const store of due) store();
  await assert.rejects(submitted, { code: "draining" });
  assert.equal(t.store.queuedCount(), 0);
});
