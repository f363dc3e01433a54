import assert from "node:assert/strict";
import {
  checkRegistration,
  DISTROS,
  PROVIDERS,
} from "../../../support/console/registration_rules.ts";

const GOOD = {
  instance_id: "i1",
  hostname: "i1",
  provider: "fly",
  region: "iad",
  distro: "ubuntu",
  agent_version: "1.2.1",
  os: "linux",
  arch: "amd64",
  tags: { env: "production" },
  extensions: ["nodejs"],
  timestamp: "2026-03-04T05:06:07.123456789Z",
};

Deno.test("checkRegistration() takes the body of an agent", () => {
  assert.deepEqual(checkRegistration({ ...GOOD, other: 1 }), {
    ok: true,
    registration: {
      instanceId: "i1",
      hostname: "i1",
      provider: "fly",
      region: "iad",
      distro: "ubuntu",
      extensions: ["nodejs"],
    },
  });
});

Deno.test("checkRegistration() needs no more than the id and the provider", () => {
  for (const provider of PROVIDERS) {
    assert.ok(checkRegistration({ instance_id: "x".repeat(128), provider }).ok, provider);
  }
  for (const distro of DISTROS) assert.ok(checkRegistration({ ...GOOD, distro }).ok, distro);
  assert.ok(checkRegistration({ ...GOOD, region: "" }).ok);
});

Deno.test("checkRegistration() refuses the whole body for one wrong field", () => {
  const wrong: readonly Readonly<Record<string, unknown>>[] = [
    { instance_id: undefined },
    { instance_id: "" },
    { instance_id: "x".repeat(129) },
    { provider: undefined },
    { provider: "" },
    { provider: "k8s" },
    { distro: "debian" },
    { distro: "" },
    { hostname: "x".repeat(257) },
    { region: "x".repeat(65) },
    { agent_version: "x".repeat(65) },
    { os: "x".repeat(33) },
    { arch: "x".repeat(33) },
    { arch: 64 },
    { tags: { a: 1 } },
    { tags: ["a"] },
    { tags: null },
    { extensions: [""] },
    { extensions: ["x".repeat(129)] },
    { extensions: Array.from({ length: 201 }, () => "x") },
    { timestamp: 5 },
  ];
  for (const change of wrong) {
    const verdict = checkRegistration({ ...GOOD, ...change });
    assert.ok(!verdict.ok, JSON.stringify(change));
    assert.equal(verdict.details.length, 1);
  }
  for (const body of [null, [], "x", 1]) assert.ok(!checkRegistration(body).ok);
});
