import assert from "node:assert/strict";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import { SystemdAgentHost } from "@lib/spine/agent_link/systemd_host.ts";
import { CicdError } from "@lib/core/errors.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { projectName } from "../../../support/job_fixtures.ts";

const never = new AbortController().signal;
const web = projectName();
const SOCKET = "cicd-agent@web.socket";
const SERVICE = "cicd-agent@web.service";

function setup(
  { units = [], results = [], hasBus = true, children = true }: {
    readonly units?: readonly string[];
    /** Of one start after another; `done` at the end. */
    readonly results?: string[];
    readonly hasBus?: boolean;
    readonly children?: boolean;
  },
) {
  const calls: string[] = [];
  const clock = new FakeClock();
  let isListening = false;
  const otherwise: AgentHost = {
    kind: "child",
    socketPath: () => "/run/agents/web.sock",
    ensureListening: (project) => Promise.resolve(void calls.push(`child ${project}`)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const host = new SystemdAgentHost({
    socketPath: otherwise.socketPath,
    answers: () => Promise.resolve(isListening),
    clock,
    connect() {
      if (!hasBus) throw new CicdError("systemd_unavailable", "There is no bus");
      return Promise.resolve({
        hasUnitFile: (name) => Promise.resolve(units.includes(name)),
        startUnit: (name) => {
          calls.push(`start ${name}`);
          return Promise.resolve(results.shift() ?? "done");
        },
        resetFailed: (name) => Promise.resolve(void calls.push(`reset ${name}`)),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      });
    },
    ...(children ? { otherwise } : {}),
  });
  return { host, calls, clock, listen: () => void (isListening = true) };
}

Deno.test("ensureListening() starts the socket of the agent, never a child beside it", async () => {
  const t = setup({ units: [SOCKET, SERVICE] });
  await t.host.ensureListening(web, never);
  assert.deepEqual(t.calls, [`start ${SOCKET}`]);
});

Deno.test("ensureListening() starts a service without a socket and waits until it listens", async () => {
  const t = setup({ units: [SERVICE] });
  const listening = t.host.ensureListening(web, never);
  await t.clock.tick(100);
  t.listen();
  await t.clock.tick(100);
  await listening;
  assert.deepEqual(t.calls, [`start ${SERVICE}`]);
});

Deno.test("ensureListening() starts a child where systemd has no unit, or there is no bus", async () => {
  for (const t of [setup({}), setup({ hasBus: false, units: [SOCKET] })]) {
    await t.host.ensureListening(web, never);
    assert.deepEqual(t.calls, ["child web"]);
  }
});

Deno.test("ensureListening() names the missing unit where agents must be units", async () => {
  const t = setup({ children: false });
  await assert.rejects(t.host.ensureListening(web, never), /no such unit; run cicd-runner install/);
  const away = setup({ children: false, hasBus: false });
  await assert.rejects(away.host.ensureListening(web, never), /no bus/);
});

Deno.test("ensureListening() tries a failed unit once more, then reports it", async () => {
  const t = setup({ units: [SOCKET], results: ["failed", "failed"] });
  await assert.rejects(t.host.ensureListening(web, never), /systemd reports "failed"/);
  assert.deepEqual(t.calls, [
    `start ${SOCKET}`,
    `reset ${SERVICE}`,
    `reset ${SOCKET}`,
    `start ${SOCKET}`,
  ]);
});
