import assert from "node:assert/strict";
import { collectMetrics } from "@lib/features/status/metrics.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { makeOutcome, openMemoryStore, projectName } from "../../../support/job_fixtures.ts";

Deno.test("collectMetrics() drops the series of a project that is gone", () => {
  using memory = openMemoryStore();
  const { store } = memory;
  const { id } = memory.claim(memory.add().id);
  store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
  const projects = (configured: readonly string[] = []) =>
    collectMetrics({
      store,
      clock: new FakeClock(),
      facts: () => ({ version: "1", startedAt: 0, maxRunning: 4 }),
      serverLoad: () => ({ connections: 0, activeRequests: 0 }),
      unreadyReasons: () => [],
      agentProblems: () => [],
      configuredProjects: () => configured.map(projectName),
    }).flatMap(({ samples }) => samples.flatMap(({ labels }) => labels?.["project"] ?? []));
  assert(projects().length > 0);
  assert(store.remove(id));
  assert.deepEqual(projects(), []);
  assert.deepEqual([...new Set(projects(["web"]))], ["web"]);
});
