import assert from "node:assert/strict";
import type { AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import { SystemdAgentHost } from "@lib/spine/agent_link/systemd_host.ts";
import type { UnitState } from "@lib/foundations/systemd/unit_state.ts";
import { CicdError } from "@lib/core/errors.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { projectName } from "../../../support/job_fixtures.ts";

const never = new AbortController().signal;
const web = projectName();
const SOCKET = "cicd-agent@web.socket";
const SERVICE = "cicd-agent@web.service";
const RUNNING: UnitState = {
  load: "loaded",
  active: "active",
  sub: "running",
  result: "success",
  exit: { code: 0, status: 0 },
};

function setup(
  { units = [], results = [], states = {}, hasBus = true, children = true }: {
    readonly units?: readonly string[];
    /** Of one start after another; `done` at the end. */
    readonly results?: string[];
    readonly states?: Readonly<Record<string, Partial<UnitState>>>;
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
        readState: (name) => Promise.resolve({ ...RUNNING, ...states[name] }),
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

Deno.test("faultOf() gives the reason of the agent's units, such as a program that is missing", async () => {
  const failed = { active: "failed", sub: "failed", result: "exit-code" };
  const t = setup({ states: { [SERVICE]: { ...failed, exit: { code: 1, status: 203 } } } });
  assert.equal(
    await t.host.faultOf(web, never),
    "cicd-agent@web.service: failed (exit-code, status 203/EXEC); " +
      "see 'journalctl --user -u cicd-agent@web.service'",
  );
  const both = setup({
    states: {
      [SERVICE]: { ...failed, result: "signal", exit: { code: 2, status: 9 } },
      [SOCKET]: { ...failed, result: "service-start-limit-hit" },
    },
  });
  assert.match(
    await both.host.faultOf(web, never) ?? "",
    /^\S+ failed \(signal, signal 9\); cicd-agent@web.socket: failed \(service-start-limit-hit\);/,
  );
});

Deno.test("faultOf() names a unit that starts for long, or is masked, and nothing that can run", async () => {
  const starting = { active: "activating", sub: "start-pre" };
  const t = setup({ states: { [SERVICE]: starting, [SOCKET]: { load: "masked" } } });
  assert.match(
    await t.host.faultOf(web, never) ?? "",
    /^cicd-agent@web.service: activating \(start-pre\); cicd-agent@web.socket: masked;/,
  );
  const idle = setup({ states: { [SERVICE]: { active: "inactive", sub: "dead" } } });
  assert.equal(await idle.host.faultOf(web, never), undefined);
  const absent = setup({ states: { [SERVICE]: { load: "not-found", active: "inactive" } } });
  assert.equal(await absent.host.faultOf(web, never), undefined);
  assert.equal(await setup({ hasBus: false }).host.faultOf(web, never), undefined);
});
