import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import { makeCertificate } from "../support/certificate.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

const KEY = "sk-very-secret-key";
const PROMPT = "a prompt that nobody else may read";

/** A provider on loopback: OpenAI's and Anthropic's answers, whole and streamed. */
function startProvider() {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    asked.push(`${request.headers.get("authorization")} ${pathname} ${await request.text()}`);
    if (pathname.endsWith("/messages")) {
      const events = [
        {
          type: "message_start",
          message: { model: "claude-sonnet-4", usage: { input_tokens: 1_000_000 } },
        },
        { type: "message_delta", usage: { output_tokens: 1_000_000 } },
      ].map((each) => `event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`);
      return new Response(events.join(""), { headers: { "content-type": "text/event-stream" } });
    }
    return Response.json({
      model: "house-model-7",
      usage: { prompt_tokens: 10, completion_tokens: 5 },
    });
  });
  const { port } = server.addr;
  return { url: `http://127.0.0.1:${port}`, asked, [Symbol.asyncDispose]: () => server.shutdown() };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Asks through the proxy, once it listens. */
async function ask(port: number, path: string): Promise<Response> {
  for (let tries = 0;; tries++) {
    try {
      return await fetch(`http://127.0.0.1:${port}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${KEY}` },
        body: JSON.stringify({ model: "x", messages: [{ role: "user", content: PROMPT }] }),
      });
    } catch (error) {
      if (tries === 500) throw error;
      await pause(20);
    }
  }
}

/** Asks for the usage until it has as many answers. */
async function usageOf(bench: RunnerBench, requests: number) {
  while (true) {
    const { body } = await bench.json("GET", "/v1/llm/usage?days=2");
    if (body.total.requests >= requests) return body;
    await pause(20);
  }
}

Deno.test("what passes through the proxy is counted by day, provider, model and project, and nothing else is kept", async () => {
  await using provider = startProvider();
  const port = freePort();
  const config = `
llm_proxy:
  listen: 127.0.0.1:${port}
  providers: { openai: "${provider.url}", anthropic: "${provider.url}" }
`;
  await using bench = new RunnerBench({ config });
  await bench.start();
  const first = await ask(port, "/v1/openai/chat/completions");
  assert.equal((await first.json()).model, "house-model-7");
  await (await ask(port, "/v1/projects/web/openai/v1/chat/completions")).body?.cancel();
  assert.match(
    await (await ask(port, "/v1/anthropic/v1/messages")).text(),
    /^event: message_start[^]*message_delta/,
  );
  const found = await usageOf(bench, 3);
  const day = found.to;
  const none = { cache_read_tokens: 0, cache_write_tokens: 0 };
  const house = {
    day,
    provider: "openai",
    model: "house-model-7",
    requests: 1,
    unpriced_requests: 1,
    input_tokens: 10,
    output_tokens: 5,
    ...none,
    cost_usd: 0,
  };
  const claude = {
    requests: 1,
    unpriced_requests: 0,
    input_tokens: 1_000_000,
    output_tokens: 1_000_000,
    ...none,
    cost_usd: 18,
  };
  assert.deepEqual(found.proxy, {
    state: "listening",
    address: `127.0.0.1:${port}`,
    problem: null,
  });
  assert.deepEqual(found.usage, [
    { ...claude, day, provider: "anthropic", model: "claude-sonnet-4", project: null },
    { ...house, project: null },
    { ...house, project: "web" },
  ]);
  assert.deepEqual(found.total, {
    ...claude,
    requests: 3,
    unpriced_requests: 2,
    input_tokens: 1_000_020,
    output_tokens: 1_000_010,
  });
  assert(provider.asked[0]?.startsWith(`Bearer ${KEY} /v1/chat/completions {"model":"x"`));
  const metrics = await (await bench.ask("GET", "/metrics")).text();
  assert.match(metrics, /^cicd_llm_requests_total\{provider="openai",outcome="2xx"\} 2$/m);
  assert.match(metrics, /^cicd_llm_tokens_total\{provider="anthropic",kind="output"\} 1000000$/m);
  assert.match(metrics, /^cicd_llm_cost_usd_total\{provider="anthropic"\} 18$/m);
  const shown = await bench.cli(["usage"]);
  assert.deepEqual(shown.stdout.trimEnd().split("\n").map((line) => line.split(/ +/)), [
    ["PROVIDER", "MODEL", "PROJECT", "REQUESTS", "INPUT", "OUTPUT", "CACHED", "USD"],
    ["anthropic", "claude-sonnet-4", "-", "1", "1000000", "1000000", "0", "18.0000"],
    ["openai", "house-model-7", "-", "1", "10", "5", "0", "unknown"],
    ["openai", "house-model-7", "web", "1", "10", "5", "0", "unknown"],
    ["total", "3", "1000020", "1000010", "0", ">18.0000"],
  ]);
  assert.deepEqual(JSON.parse((await bench.cli(["usage", "--days=2", "--json"])).stdout), found);
  const { code, stderr } = await bench.kill("SIGTERM");
  assert.equal(code, 0, stderr);
  assert.equal(stderr.match(/No price is known/g)?.length, 1, stderr);
  // The sums outlive the runner; the request does not.
  await bench.start();
  assert.deepEqual(await usageOf(bench, 3), found);
  await bench.kill("SIGTERM");
  const kept = [stderr, ...filesBelow(bench.stateDir)];
  for (const text of kept) assert(!text.includes(KEY) && !text.includes("a prompt that"));
});

Deno.test("the proxy has the prices of a file, and keeps those before while the file is unusable", async () => {
  await using provider = startProvider();
  const port = freePort();
  await using bench = new RunnerBench();
  const prices = `${bench.directory}/prices.json`;
  const row = { provider: "openai", model: "house-", inputPerMillion: 1e5, outputPerMillion: 0 };
  Deno.writeTextFileSync(prices, JSON.stringify({ prices: [row] }));
  bench.configure(
    `llm_proxy: { listen: "${port}", prices: "${prices}", providers: { openai: "${provider.url}" } }\n`,
  );
  await bench.start();
  await (await ask(port, "/v1/openai/v1/chat/completions")).body?.cancel();
  assert.equal((await usageOf(bench, 1)).total.cost_usd, 1);
  const { code, stdout } = await bench.cli(["usage", "--prices", "--json"]);
  assert.equal(code, 0);
  const known = JSON.parse(stdout).prices;
  assert(known.length > 10);
  const [title, ...rows] = (await bench.cli(["usage", "--prices"])).stdout.trim().split("\n");
  assert.match(title ?? "", /^PROVIDER +MODEL +INPUT +OUTPUT +CACHE READ +CACHE WRITE$/);
  assert.equal(rows.length, known.length);
  assert.match(rows[0] ?? "", /^anthropic +claude-3-haiku +0\.25 +1\.25 +0\.03 +0\.3$/);
  const { stderr } = await bench.kill("SIGTERM");
  assert(!stderr.includes("No price"), stderr);
  Deno.writeTextFileSync(prices, JSON.stringify([{ ...row, inputPerMillion: "1" }]));
  await bench.start();
  await (await ask(port, "/v1/openai/v1/chat/completions")).body?.cancel();
  assert.equal((await usageOf(bench, 2)).total.unpriced_requests, 1);
  const ended = await bench.kill("SIGTERM");
  assert.match(ended.stderr, /row 1 has a .*inputPerMillion.* that is no price/);
});

Deno.test("the variables of the console turn the proxy on, and its port may be taken", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using bench = new RunnerBench({
    env: { SINDRI_LLM_ADAPTER: "auto", SINDRI_LLM_PROXY_PORT: String(taken.addr.port) },
  });
  await bench.start();
  const { proxy, usage } = (await bench.json("GET", "/v1/llm/usage")).body;
  assert.deepEqual([usage.length, proxy.state, proxy.address], [0, "down", `${taken.addr.port}`]);
  assert.match(proxy.problem, /another program listens there$/);
  assert.match((await bench.cli(["usage"])).stderr, /the proxy is down: Cannot listen/);
  const { code, stderr } = await bench.kill("SIGTERM");
  assert.equal(code, 0);
  assert(!stderr.includes("task failed"), stderr);
  assert.match(
    stderr,
    new RegExp(`Cannot listen on .*127.0.0.1:${taken.addr.port}.*another program`),
  );
});

Deno.test("a runner that stops lets an answer of a language model end, and counts it", async () => {
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  await using provider = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    const encoder = new TextEncoder();
    async function* events() {
      yield encoder.encode(": wait\n\n");
      begun.resolve();
      await go.promise;
      yield encoder.encode('data: {"model":"m","usage":{"prompt_tokens":7}}\n\n');
    }
    const headers = { "content-type": "text/event-stream" };
    return new Response(ReadableStream.from(events()), { headers });
  });
  const port = freePort();
  const base = `http://127.0.0.1:${provider.addr.port}`;
  await using bench = new RunnerBench({
    config: `llm_proxy: { listen: "${port}", providers: { openai: "${base}" } }\n`,
  });
  await bench.start();
  const answer = await ask(port, "/v1/openai/v1/chat/completions");
  await begun.promise;
  const ended = bench.kill("SIGTERM");
  await untilRefused(port);
  go.resolve();
  assert.match(await answer.text(), /prompt_tokens/);
  assert.equal((await ended).code, 0);
  await bench.start();
  assert.equal((await usageOf(bench, 1)).total.input_tokens, 7);
});

Deno.test("a provider's certificate is checked, against the authorities of the machine and those of a file", async () => {
  const directory = await Deno.makeTempDir({ prefix: "llm-" });
  const { certificate, key } = await makeCertificate(directory, "provider");
  const provider = createServer({ cert: certificate, key }, (incoming, outgoing) => {
    outgoing.end(`over TLS, ${incoming.headers.host}`);
  });
  provider.listen(0, "127.0.0.1");
  await once(provider, "listening");
  const address = provider.address();
  const base = typeof address === "object" ? address?.port : 0;
  const port = freePort();
  const config =
    `llm_proxy: { listen: "${port}", providers: { openai: "https://localhost:${base}", ` +
    `xai: "https://127.0.0.1:${base}" } }\n`;
  for (const isTrusted of [false, true]) {
    const env = isTrusted ? { NODE_EXTRA_CA_CERTS: `${directory}/provider.crt` } : {};
    await using bench = new RunnerBench({ config, env });
    await bench.start();
    for (const [name, host] of [["openai", "localhost"], ["xai", "127.0.0.1"]]) {
      const answer = await ask(port, `/v1/${name}/v1/models`);
      const text = await answer.text();
      if (isTrusted) assert.equal(text, `over TLS, ${host}:${base}`);
      else assert.equal(answer.status, 502, text);
    }
    const { code, stderr } = await bench.kill("SIGTERM");
    assert.equal(code, 0);
    assert.equal(stderr.includes("self-signed certificate"), !isTrusted, stderr);
  }
  provider.close();
  provider.closeAllConnections();
  await Deno.remove(directory, { recursive: true });
});

/** Waits until nobody listens at a port. */
async function untilRefused(port: number): Promise<void> {
  while (true) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
      throw error;
    }
    await pause(20);
  }
}

/** The texts of all files. */
function filesBelow(path: string): readonly string[] {
  return [...Deno.readDirSync(path)].flatMap(({ name, isDirectory, isFile }) => {
    const full = `${path}/${name}`;
    if (isDirectory) return filesBelow(full);
    return isFile ? [new TextDecoder("latin1").decode(Deno.readFileSync(full))] : [];
  });
}
