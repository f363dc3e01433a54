import assert from "node:assert/strict";
import { isConsoleConfigured } from "@lib/features/console/keys.ts";
import { type ConsoleSettings, readConsoleSettings } from "@lib/features/console/settings.ts";

const FULL = {
  SINDRI_CONSOLE_URL: "https://mimir.example.com//",
  SINDRI_CONSOLE_API_KEY: "sk-1",
};

function read(env: Readonly<Record<string, string>>, config = {}): ConsoleSettings {
  return readConsoleSettings({
    config,
    env,
    hostname: () => "box",
    platform: () => ({ provider: "docker", distro: "debian" }),
  });
}

function on(env: Readonly<Record<string, string>>, config = {}) {
  const settings = read(env, config);
  assert.equal(settings.kind, "on");
  if (settings.kind !== "on") throw new TypeError("It is off");
  return settings;
}

Deno.test("readConsoleSettings() has the defaults, and what was found out", () => {
  const { url, apiKey, warnings, ...rest } = on(FULL);
  assert.equal(url, "https://mimir.example.com");
  assert.equal(apiKey.expose(), "sk-1");
  assert.deepEqual(rest, {
    kind: "on",
    instanceId: "box",
    provider: "docker",
    region: undefined,
    distro: undefined,
    heartbeatMs: 20_000,
    metricsMs: 60_000,
    usageMs: 30_000,
    tags: {},
  });
  assert.match(warnings.join(), /no distribution "debian"/);
});

Deno.test("readConsoleSettings() reads every variable, of which an empty one is unset", () => {
  const settings = on({
    ...FULL,
    SINDRI_INSTANCE_ID: "cuid",
    SINDRI_PROVIDER: "k8s",
    SINDRI_REGION: "",
    SINDRI_DISTRO: "opensuse-leap",
    SINDRI_AGENT_HEARTBEAT: "0.5",
    SINDRI_AGENT_METRICS: "120",
    SINDRI_LLM_REPORT_INTERVAL: "5",
    SINDRI_AGENT_TAGS: "env=production, team=platform, odd,a=b=c",
  });
  assert.equal(settings.instanceId, "cuid");
  assert.equal(settings.provider, "kubernetes");
  assert.equal(settings.region, undefined);
  assert.equal(settings.distro, "opensuse");
  assert.deepEqual([settings.heartbeatMs, settings.metricsMs, settings.usageMs], [
    500,
    120_000,
    5_000,
  ]);
  assert.deepEqual(settings.tags, { env: "production", team: "platform", a: "b=c" });
});

Deno.test("readConsoleSettings() prefers the file to the variables", () => {
  const settings = on({ ...FULL, SINDRI_PROVIDER: "aws" }, {
    url: "http://127.0.0.1:3001",
    provider: "fly",
    heartbeatMs: 1_000,
  });
  assert.equal(settings.url, "http://127.0.0.1:3001");
  assert.equal(settings.provider, "fly");
  assert.equal(settings.heartbeatMs, 1_000);
});

Deno.test("readConsoleSettings() is off without an address", () => {
  assert.equal(read({}).kind, "off");
  assert.equal(read({ SINDRI_CONSOLE_URL: "", SINDRI_CONSOLE_API_KEY: "k" }).kind, "off");
  assert.equal(isConsoleConfigured({}, { SINDRI_CONSOLE_URL: "x" }), true);
});

Deno.test("readConsoleSettings() names each unusable setting, and no secret", () => {
  const wrong: readonly [Readonly<Record<string, string>>, RegExp][] = [
    [
      { SINDRI_CONSOLE_URL: FULL.SINDRI_CONSOLE_URL },
      /SINDRI_CONSOLE_API_KEY is required, or console\.api_key/,
    ],
    [{ ...FULL, SINDRI_CONSOLE_URL: "ftp://x" }, /SINDRI_CONSOLE_URL/],
    [{ ...FULL, SINDRI_CONSOLE_API_KEY: "sk-1\nx" }, /API key.*printable/],
    [
      { ...FULL, SINDRI_AGENT_HEARTBEAT: "x" },
      /SINDRI_AGENT_HEARTBEAT must be a positive number of seconds, got "x"/,
    ],
    [
      { ...FULL, SINDRI_AGENT_METRICS: "0" },
      /SINDRI_AGENT_METRICS must be a positive number of seconds, got "0"/,
    ],
    [
      { ...FULL, SINDRI_LLM_REPORT_INTERVAL: "-1" },
      /SINDRI_LLM_REPORT_INTERVAL must be a positive number, got "-1"/,
    ],
  ];
  for (const [env, problem] of wrong) {
    const settings = read(env);
    assert.equal(settings.kind, "unusable");
    if (settings.kind !== "unusable") continue;
    assert.match(settings.problems.join(), problem);
    assert.ok(!settings.problems.join().includes("sk-1"));
  }
});

Deno.test("readConsoleSettings() warns of a key in the clear, and of an unknown provider", () => {
  const { provider, warnings } = on({
    ...FULL,
    SINDRI_CONSOLE_URL: "http://mimir.example.com",
    SINDRI_PROVIDER: "heroku",
  });
  assert.equal(provider, "ssh");
  assert.match(warnings.join(), /in the clear.*"heroku"/);
});
