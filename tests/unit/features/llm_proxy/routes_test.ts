import assert from "node:assert/strict";
import { listeningOf, LLM_PROXY } from "@lib/features/llm_proxy/keys.ts";
import { usageRoutes } from "@lib/features/llm_proxy/routes.ts";
import { UsageStore } from "@lib/features/llm_proxy/usage_store.ts";
import { loadConfig } from "@lib/foundations/config/load.ts";
import { openApi } from "../../../support/api_fixture.ts";
import { projectName } from "../../../support/job_fixtures.ts";

const DAY = 86_400_000;

function setup() {
  let store: UsageStore | undefined;
  const api = openApi({
    replaced: {
      llm_proxy: ({ db, clock }) => {
        const made = store = new UsageStore(db, () => 400 * DAY);
        const proxy = () => ({ state: "off", address: null, problem: null } as const);
        return { routes: usageRoutes({ store: () => Promise.resolve(made), clock, proxy }) };
      },
    },
  });
  assert(store !== undefined);
  return { api, store };
}

const USAGE = {
  provider: "openai",
  model: "gpt-4o",
  operation: "chat",
  inputTokens: 10,
  outputTokens: 5,
  cacheReadTokens: 2,
  cacheWriteTokens: 1,
  costUsd: 0.1,
};

Deno.test("GET /v1/llm/usage has the days that are asked for, and sums them up", async () => {
  const { api, store } = setup();
  await api.clock.tick(40 * DAY);
  const now = api.clock.now();
  for (const days of [0, 0, 1, 35]) store.add({ ...USAGE, ts: now - days * DAY });
  const ask = async (query: string) => await (await api.ask("GET", `/v1/llm/usage${query}`)).json();
  const found = await ask("");
  assert.deepEqual([found.from, found.to], ["1970-01-12", "1970-02-10"]);
  assert.deepEqual(found.total, {
    requests: 3,
    unpriced_requests: 0,
    input_tokens: 30,
    output_tokens: 15,
    cache_read_tokens: 6,
    cache_write_tokens: 3,
    cost_usd: 0.3,
  });
  assert.deepEqual(found.usage.map(({ day }: { day: string }) => day), [
    "1970-02-10",
    "1970-02-09",
  ]);
  assert.equal((await ask("?days=1")).total.requests, 2);
  assert.equal((await ask("?days=40")).total.requests, 4);
  assert.equal((await api.ask("GET", "/v1/llm/usage?days=0")).status, 422);
});

Deno.test("GET /v1/llm/usage shows a key that is restricted to projects theirs only", async () => {
  const { api, store } = setup();
  const ts = api.clock.now();
  store.add({ ...USAGE, ts });
  store.add({ ...USAGE, ts, project: "web" });
  store.add({ ...USAGE, ts, project: "other" });
  const { text } = api.keys.create({
    name: "CI",
    scopes: ["read"],
    projects: [projectName("web")],
  });
  const response = await api.ask("GET", "/v1/llm/usage", {
    headers: { authorization: `Bearer ${text}` },
    origin: { kind: "remote", address: "192.0.2.1" },
  });
  const { total, usage } = await response.json();
  assert.deepEqual([total.requests, usage.length, usage[0].project], [1, 1, "web"]);
});

Deno.test("listeningOf() takes the configuration, else the variables of the console", () => {
  const listening = (env: Record<string, string>) =>
    listeningOf(
      loadConfig({ sections: [LLM_PROXY], env, home: "/home/ann", cores: 2 }).config,
      env,
    );
  const url = { SINDRI_CONSOLE_URL: "https://console.example" };
  assert.deepEqual(listening({}), {});
  assert.deepEqual(listening({ SINDRI_LLM_ADAPTER: "none", SINDRI_LLM_PROXY_PORT: "1" }), {});
  assert.deepEqual(listening(url), { address: "9090" });
  assert.deepEqual(listening({ ...url, SINDRI_LLM_ADAPTER: "none" }), {});
  assert.deepEqual(listening({ ...url, SINDRI_LLM_ADAPTER: "unknown" }), { address: "9090" });
  assert.deepEqual(listening({ SINDRI_LLM_ADAPTER: "proxy" }), { address: "9090" });
  assert.deepEqual(listening({ SINDRI_LLM_PROXY_PORT: "7000" }), { address: "7000" });
  assert.match(listening({ ...url, SINDRI_LLM_ADAPTER: "ebpf" }).problem ?? "", /not supported/);
  for (const port of ["x", "0", "70000", "1.5"]) {
    const { problem } = listening({ SINDRI_LLM_PROXY_PORT: port });
    assert.equal(problem, `SINDRI_LLM_PROXY_PORT must be a valid port number, got "${port}"`);
  }
  const own = { ...url, CICD_LLM_PROXY_LISTEN: "127.0.0.1:8000" };
  assert.deepEqual(listening(own), { address: "127.0.0.1:8000" });
});
