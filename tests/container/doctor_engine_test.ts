import assert from "node:assert/strict";
import { checkTools } from "@lib/features/install/check_machine.ts";
import { askEngine } from "@lib/features/install/command_doctor.ts";
import { useDockerEngine } from "../support/container_suite.ts";
import { factsWith } from "../unit/features/install/_facts.ts";

const docker = useDockerEngine(() => Promise.resolve());
const signal = AbortSignal.timeout(120_000);

Deno.test("askEngine() reports what an engine is and which limits it enforces", async () => {
  const env = { DOCKER_HOST: docker.host };
  const answer = await askEngine({ host: undefined, env, signal });
  assert.ok(answer.kind === "answers", JSON.stringify(answer));
  assert.equal(answer.address, docker.host);
  assert.deepEqual([answer.podman, answer.rootless], [false, false]);
  assert.match(answer.version, /^\d+\./);
  assert.match(answer.cgroupVersion, /^[12]$/);
  assert.ok(answer.enforces.memory && answer.enforces.cpu);
  const [check] = checkTools(factsWith({ engine: answer }));
  assert.equal(check?.status, "ok");
  assert.match(check?.detail ?? "", /^Docker \d.* at unix:.*, run by root, cgroup v[12], storage/);
});

Deno.test("askEngine() goes by the configuration before the environment", async () => {
  const env = { DOCKER_HOST: "unix:///nowhere.sock" };
  assert.equal((await askEngine({ host: docker.host, env, signal })).kind, "answers");
});

Deno.test("askEngine() reports why a configured engine does not answer", async () => {
  for (const host of ["unix:///nowhere.sock", "nonsense"]) {
    const answer = await askEngine({ host, env: {}, signal });
    assert.ok(answer.kind === "silent", host);
    assert.ok(answer.isNamed && answer.why.includes(host), answer.why);
  }
});
