import assert from "node:assert/strict";
import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
} from "node:http";
import * as zlib from "node:zlib";
import { turn } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import type { Exchanged } from "@lib/features/llm_proxy/exchange.ts";
import { ProxyServer } from "@lib/features/llm_proxy/proxy_server.ts";
import type { Bases } from "@lib/features/llm_proxy/targets.ts";

type Handler = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

const MIB = 1024 * 1024;
const LIMITS = { connectMs: 10_000, idleMs: 60_000, lingerMs: 50, maxRequests: 8 };
const LOOPBACK = { host: "127.0.0.1", port: 0 };

/** A provider's server that answers as the test says, and a proxy before it. */
async function setup(handler: Handler, changes: {
  readonly limits?: { connectMs?: number; idleMs?: number; maxRequests?: number };
  readonly bases?: Bases;
} = {}) {
  const provider = createServer(handler);
  provider.listen(0, "127.0.0.1");
  await once(provider, "listening");
  const address = provider.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const base = `http://127.0.0.1:${port}`;
  const outcomes: Exchanged[] = [];
  const refused: string[] = [];
  const waiting: (() => void)[] = [];
  const proxy = await ProxyServer.listen(LOOPBACK, {
    limits: () => ({ ...LIMITS, ...changes.limits }),
    bases: () => ({ openai: base, anthropic: base, google: base, ...changes.bases }),
    onExchange: (_target, outcome) => {
      outcomes.push(outcome);
      for (const resolve of waiting.splice(0)) resolve();
    },
    onRefused: (kind) => refused.push(kind),
    onError: (what, error) => assert.fail(`${what}: ${error}`),
  });
  return {
    proxy,
    port,
    outcomes,
    refused,
    ask: (path: string, options: Parameters<typeof ask>[1] = {}) =>
      ask(`http://127.0.0.1:${proxy.port}${path}`, options),
    /** Returns the first outcome, once there is one. */
    async outcome(): Promise<Exchanged> {
      while (outcomes[0] === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting.push(resolve);
        await promise;
      }
      return outcomes[0];
    },
    [Symbol.dispose]() {
      proxy[Symbol.dispose]();
      provider.close();
      provider.closeAllConnections();
    },
  };
}

/** Sends a request without following, decoding or adding anything. */
function ask(url: string, { method = "GET", headers = {}, body }: {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
} = {}) {
  const request = httpRequest(url, { method, headers, agent: false });
  const response = Promise.withResolvers<IncomingMessage>();
  request.on("response", response.resolve);
  request.on("error", response.reject);
  if (body !== undefined) request.end(body);
  else if (method === "GET") request.end();
  return { request, response: response.promise };
}

async function bytesOf(message: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(ReadableStream.from(message)).arrayBuffer());
}

async function textOf(message: AsyncIterable<Uint8Array>): Promise<string> {
  return new TextDecoder().decode(await bytesOf(message));
}

async function errorOf(response: IncomingMessage) {
  assert.equal(response.headers["content-type"], "application/json");
  const { type, error } = JSON.parse(await textOf(response));
  assert.equal(type, "error");
  assert.equal(error.code, error.type);
  return { status: response.statusCode, type: error.type, message: error.message };
}

Deno.test("an event reaches the client before the provider has the next one, and tokens are counted", async () => {
  const events = [
    'data: {"type":"message_start","message":{"model":"claude-sonnet-4","usage":{"input_tokens":3}}}',
    'data: {"type":"message_delta","usage":{"output_tokens":2}}',
  ].map((each) => `${each}\n\n`);
  const next = Promise.withResolvers<void>();
  using bench = await setup(async (_incoming, outgoing) => {
    outgoing.writeHead(200, { "content-type": "text/event-stream" });
    outgoing.write(events[0]);
    await next.promise;
    outgoing.end(events[1]);
  });
  const response = await bench.ask("/v1/anthropic/v1/messages").response;
  const chunks = response[Symbol.asyncIterator]();
  const first = await chunks.next();
  assert.equal(new TextDecoder().decode(first.value), events[0]);
  next.resolve();
  assert.equal(new TextDecoder().decode((await chunks.next()).value), events[1]);
  assert.equal((await chunks.next()).done, true);
  assert.deepEqual(await bench.outcome(), {
    kind: "answered",
    status: 200,
    tapped: {
      count: { model: "claude-sonnet-4", input: 3, output: 2, cacheRead: 0, cacheWrite: 0 },
    },
  });
});

Deno.test("a part of a body reaches the provider before the client has the next one", async () => {
  const arrived = Promise.withResolvers<void>();
  const seen: IncomingMessage[] = [];
  using bench = await setup(async (incoming, outgoing) => {
    seen.push(incoming);
    const chunks = incoming[Symbol.asyncIterator]();
    await chunks.next();
    arrived.resolve();
    await chunks.next();
    outgoing.writeHead(429, "Slow Down", {
      "retry-after": "7",
      "connection": "close, x-own",
      "x-own": "1",
      "keep-alive": "timeout=1",
      "set-cookie": ["a=1", "b=2"],
    });
    outgoing.end("{}");
  });
  const { request, response } = bench.ask("/v1/projects/web/openai/chat/completions?x=%2F", {
    method: "POST",
    headers: {
      "authorization": "Bearer secret",
      "connection": "x-hop",
      "x-hop": "1",
      "te": "trailers",
      "accept-encoding": "gzip, br",
    },
  });
  request.write("{");
  await arrived.promise;
  request.end("}");
  const answer = await response;
  assert.deepEqual([answer.statusCode, answer.statusMessage], [429, "Slow Down"]);
  assert.equal(answer.headers["retry-after"], "7");
  assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
  assert.equal(answer.headers["x-own"], undefined);
  assert.equal(await textOf(answer), "{}");
  const [incoming] = seen;
  assert.equal(incoming?.url, "/v1/chat/completions?x=%2F");
  const { host, authorization, te, "x-hop": hop, "accept-encoding": encoding } =
    incoming?.headers ?? {};
  assert.deepEqual([host, authorization, te, hop, encoding], [
    `127.0.0.1:${bench.port}`,
    "Bearer secret",
    undefined,
    undefined,
    "gzip, br",
  ]);
  assert.deepEqual(await bench.outcome(), { kind: "answered", status: 429 });
});

Deno.test("a compressed answer reaches the client as it is, and is counted", async () => {
  const body = JSON.stringify({
    model: "gpt-4o",
    usage: { prompt_tokens: 9, completion_tokens: 1 },
  });
  for (
    const [coding, bytes] of [["gzip", zlib.gzipSync(body)], [
      "br",
      zlib.brotliCompressSync(body),
    ]] as const
  ) {
    using bench = await setup((_incoming, outgoing) => {
      outgoing.writeHead(200, {
        "content-type": "application/json",
        "content-encoding": coding,
        "content-length": bytes.length,
      });
      for (const byte of bytes) outgoing.write(Uint8Array.of(byte));
      outgoing.end();
    });
    const response = await bench.ask("/v1/openai/v1/models").response;
    assert.equal(response.headers["content-encoding"], coding);
    assert.equal(response.headers["content-length"], String(bytes.length));
    assert.deepEqual(await bytesOf(response), new Uint8Array(bytes));
    const outcome = await bench.outcome();
    assert.equal(outcome.kind === "answered" && outcome.tapped?.count.input, 9);
  }
});

Deno.test("neither side can fill the proxy: each is as slow as the other", async () => {
  const block = new Uint8Array(64 * 1024);
  const total = 48 * MIB;
  const sent = { up: 0, down: 0 };
  const flood = async (
    stream: {
      write(chunk: Uint8Array): boolean;
      end(): unknown;
      once: NodeJS.EventEmitter["once"];
    },
    side: keyof typeof sent,
  ) => {
    while (sent[side] < total) {
      sent[side] += block.length;
      if (!stream.write(block)) await new Promise<void>((resolve) => stream.once("drain", resolve));
    }
    stream.end();
  };
  const readSlowly = async (message: AsyncIterable<Uint8Array>, side: keyof typeof sent) => {
    let received = 0;
    for await (const chunk of message) {
      received += chunk.length;
      // The others could run away now.
      await turn();
      await turn();
      const ahead = sent[side] - received;
      assert(ahead < 24 * MIB, `${ahead} bytes ${side} are buffered`);
    }
    assert.equal(received, total);
  };
  using bench = await setup(async (incoming, outgoing) => {
    await readSlowly(incoming, "up");
    outgoing.writeHead(200, { "content-type": "application/octet-stream" });
    await flood(outgoing, "down");
  });
  const { request, response } = bench.ask("/v1/openai/v1/files", { method: "POST" });
  await flood(request, "up");
  await readSlowly(await response, "down");
  assert.equal((await bench.outcome()).kind, "answered");
});

Deno.test("a client that leaves ends the request at the provider, before and in its answer", async () => {
  for (const begins of [false, true]) {
    const asked = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    using bench = await setup((_incoming, outgoing) => {
      outgoing.on("close", left.resolve);
      if (begins) outgoing.writeHead(200, { "content-type": "text/event-stream" }).write("data: ");
      asked.resolve();
    });
    const { request, response } = bench.ask("/v1/openai/v1/chat/completions", {
      method: "POST",
      body: "{}",
    });
    await asked.promise;
    if (begins) await response;
    else void response.catch(ignore("this client has left"));
    request.destroy();
    await left.promise;
    const outcome = await bench.outcome();
    assert.equal(outcome.kind === "failed" ? outcome.reason : outcome.kind, "left");
    assert.equal(bench.proxy.active, 0);
  }
});

Deno.test("a body that breaks off is not sent as a whole one", async () => {
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<boolean>();
  using bench = await setup(async (incoming) => {
    begun.resolve();
    try {
      await bytesOf(incoming);
      ended.resolve(incoming.complete);
    } catch {
      ended.resolve(false);
    }
  });
  const { request, response } = bench.ask("/v1/openai/v1/files", { method: "POST" });
  void response.catch(ignore("this client has left"));
  request.write("{");
  await begun.promise;
  request.destroy();
  assert.equal(await ended.promise, false);
});

Deno.test("a provider that breaks off its answer breaks the client's, whatever its framing", async () => {
  for (const headers of [{ "content-length": "100" }, {}]) {
    using bench = await setup((_incoming, outgoing) => {
      outgoing.writeHead(200, { "content-type": "text/event-stream", ...headers });
      outgoing.write(
        'data: {"model":"m","usage":{"prompt_tokens":4}}\n\n',
        () => outgoing.destroy(),
      );
    });
    const response = await bench.ask("/v1/openai/v1/chat/completions").response;
    await assert.rejects(textOf(response));
    const outcome = await bench.outcome();
    assert(outcome.kind === "cut", outcome.kind);
    assert.equal(outcome.tapped?.count.input, 4);
  }
});

Deno.test("a provider that cannot be reached, or does not answer, is named in a 502 or 504", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  closed.close();
  using bench = await setup(() => {}, {
    limits: { connectMs: 100, idleMs: 200 },
    bases: {
      groq: `http://127.0.0.1:${closed.addr.port}`,
      xai: `https://127.0.0.1:${silent.addr.port}`,
    },
  });
  const refused = await errorOf(await bench.ask("/v1/groq/models").response);
  assert.deepEqual(refused, {
    status: 502,
    type: "upstream_failed",
    message: "upstream request failed: groq",
  });
  // Also if the body never ends.
  const stuck = bench.ask("/v1/groq/models", { method: "POST" });
  stuck.request.on("error", () => {});
  stuck.request.write("{");
  assert.equal((await errorOf(await stuck.response)).status, 502);
  stuck.request.destroy();
  const handshake = await errorOf(await bench.ask("/v1/xai/models").response);
  assert.deepEqual([handshake.status, handshake.type], [504, "connect_timeout"]);
  const idle = await errorOf(await bench.ask("/v1/openai/models").response);
  assert.deepEqual([idle.status, idle.type], [504, "idle_timeout"]);
  assert.match(idle.message, /^openai has not answered/);
});

Deno.test("an answer that stops to flow is broken off", async () => {
  using bench = await setup((_incoming, outgoing) => {
    outgoing.writeHead(200, { "content-type": "text/event-stream" }).write(": wait\n\n");
  }, { limits: { idleMs: 200 } });
  const response = await bench.ask("/v1/openai/v1/chat/completions").response;
  await assert.rejects(textOf(response));
  const outcome = await bench.outcome();
  assert.deepEqual([outcome.kind, "why" in outcome && outcome.why], ["cut", "idle_timeout"]);
});

Deno.test("an answer to a body that the provider does not read reaches the client", async () => {
  using bench = await setup((_incoming, outgoing) => {
    outgoing.writeHead(413, { "content-type": "application/json", "connection": "close" });
    outgoing.end('{"error":"too long"}');
  });
  const { request, response } = bench.ask("/v1/openai/v1/files", { method: "POST" });
  request.on("error", () => {});
  request.write(new Uint8Array(4 * MIB));
  const answer = await response;
  assert.equal(answer.statusCode, 413);
  assert.equal(await textOf(answer), '{"error":"too long"}');
  request.destroy();
});

Deno.test("a body that goes on after its answer, or stops, holds neither the answer nor the request", async () => {
  const asked: IncomingMessage[] = [];
  using bench = await setup((incoming, outgoing) => {
    asked.push(incoming);
    outgoing.writeHead(200, { "content-type": "text/plain" }).end("early");
  });
  for (const path of ["/v1/openai/v1/files", "/v1/nobody/x"]) {
    const { request, response } = bench.ask(path, { method: "POST" });
    request.on("error", () => {});
    request.write("{");
    const answer = await response;
    assert.equal(answer.statusCode, path.includes("nobody") ? 400 : 200);
    assert.match(await textOf(answer), /early|unknown provider: nobody/);
    request.destroy();
  }
  assert.equal((await bench.outcome()).kind, "answered");
});

Deno.test("a connection is used for one request after another, on both sides", async () => {
  const sockets = new Set<unknown>();
  using bench = await setup(async (incoming, outgoing) => {
    sockets.add(incoming.socket);
    outgoing.writeHead(200, { "content-type": "text/plain" });
    outgoing.end(`${incoming.method} ${await textOf(incoming)}`);
  });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: bench.proxy.port });
  const send = async (text: string, until: string) => {
    await connection.write(new TextEncoder().encode(text));
    let answer = "";
    const buffer = new Uint8Array(4_096);
    while (!answer.endsWith(until)) {
      const count = await connection.read(buffer);
      assert(count !== null, answer);
      answer += new TextDecoder().decode(buffer.subarray(0, count));
    }
    return answer;
  };
  const head = (method: string) => `${method} /v1/openai/v1/x HTTP/1.1\r\nHost: localhost\r\n`;
  const end = "0\r\n\r\n";
  assert.match(await send(`${head("POST")}Content-Length: 2\r\n\r\nhi`, end), /\nPOST hi\r\n0/);
  const chunked = "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n";
  assert.match(await send(`${head("PUT")}${chunked}`, end), /\nPUT ab\r\n0/);
  assert.match(await send(`${head("GET")}\r\n`, end), /\nGET \r\n0/);
  assert.match(await send(`${head("HEAD")}\r\n`, "\r\n\r\n"), /^HTTP\/1.1 200 OK\r\n/);
  assert.equal(bench.outcomes.length, 4);
  assert.equal(sockets.size, 1);
});

Deno.test("requests of web pages, to other hosts, and to no provider are refused", async () => {
  using bench = await setup(() => assert.fail("a provider was asked"));
  const refusal = async (path: string, headers: Record<string, string> = {}) => {
    const { status, type } = await errorOf(await bench.ask(path, { headers }).response);
    return [status, type];
  };
  const path = "/v1/openai/v1/models";
  assert.deepEqual(await refusal(path, { origin: "null" }), [403, "cross_origin"]);
  assert.deepEqual(await refusal(path, { "sec-fetch-site": "cross-site" }), [403, "cross_origin"]);
  assert.deepEqual(await refusal(path, { host: "evil.example:9090" }), [403, "wrong_host"]);
  assert.deepEqual(await refusal("/v1/evil/x"), [400, "invalid_request_error"]);
  assert.deepEqual(await refusal("/"), [400, "invalid_request_error"]);
  const raw = async (head: string) => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: bench.proxy.port });
    const [text] = await Promise.all([
      new Response(connection.readable).text(),
      connection.write(new TextEncoder().encode(head)),
    ]);
    return text.slice(0, 12);
  };
  const host = "Host: localhost\r\nConnection: close\r\n\r\n";
  assert.equal(
    await raw(`GET http://evil.example/v1/openai/x HTTP/1.1\r\n${host}`),
    "HTTP/1.1 400",
  );
  assert.equal(await raw(`CONNECT evil.example:443 HTTP/1.1\r\n${host}`), "");
  const long = `GET ${path} HTTP/1.1\r\nX: ${"x".repeat(70_000)}\r\n${host}`;
  assert.equal(await raw(long), "HTTP/1.1 431");
  assert.equal(bench.outcomes.length, 0);
});

Deno.test("requests beyond the limit are refused, and those before it go on", async () => {
  const waiting: ServerResponse[] = [];
  const all = Promise.withResolvers<void>();
  using bench = await setup((_incoming, outgoing) => {
    waiting.push(outgoing);
    if (waiting.length === 2) all.resolve();
  }, { limits: { maxRequests: 2 } });
  const [one, two] = [bench.ask("/v1/openai/v1/a"), bench.ask("/v1/openai/v1/b")];
  await all.promise;
  const refused = await bench.ask("/v1/openai/v1/c").response;
  assert.equal(refused.headers["retry-after"], "1");
  assert.equal((await errorOf(refused)).status, 503);
  for (const outgoing of waiting) outgoing.end("good");
  assert.equal(await textOf(await one.response), "good");
  assert.equal(await textOf(await two.response), "good");
});

Deno.test("a proxy that stops lets its answers end, and accepts no others", async () => {
  const asked = Promise.withResolvers<ServerResponse>();
  using bench = await setup((_incoming, outgoing) => asked.resolve(outgoing));
  const { response } = bench.ask("/v1/openai/v1/models");
  const outgoing = await asked.promise;
  bench.proxy.stopAccepting();
  await assert.rejects(bench.ask("/v1/openai/v1/models").response);
  const drained = bench.proxy.drained(new AbortController().signal);
  outgoing.end("whole");
  assert.equal(await textOf(await response), "whole");
  await drained;
});

Deno.test("a proxy that ends tells a client without an answer, and breaks the others", async () => {
  const asked = Promise.withResolvers<void>();
  using bench = await setup(() => asked.resolve());
  const { response } = bench.ask("/v1/openai/v1/models");
  await asked.promise;
  bench.proxy[Symbol.dispose]();
  await assert.rejects(response);
  assert.equal((await bench.outcome()).kind, "failed");
});

Deno.test("a proxy listens on loopback only, and says that a port is taken", async () => {
  using bench = await setup(() => {});
  const options = {
    limits: () => LIMITS,
    bases: () => ({}),
    onExchange() {},
    onRefused() {},
    onError() {},
  };
  await assert.rejects(ProxyServer.listen({ host: "0.0.0.0", port: 1 }, options), {
    code: "invalid_config",
  });
  await assert.rejects(ProxyServer.listen({ host: "127.0.0.1", port: bench.proxy.port }, options), {
    code: "socket_in_use",
  });
});

Deno.test("a body that a GET brings does not become a request of its own at the provider", async () => {
  const seen: string[] = [];
  using bench = await setup((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    incoming.resume();
    incoming.on("end", () => outgoing.end("{}"));
  });
  const inner = "POST /stolen HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
  const framed = [
    `Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n` +
    `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
    `Connection: close, content-length\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
  ];
  for (const rest of framed) {
    using client = await Deno.connect({ port: bench.proxy.port });
    const head = `GET /v1/openai/models HTTP/1.1\r\nHost: 127.0.0.1:${bench.proxy.port}\r\n`;
    await client.write(new TextEncoder().encode(head + rest));
    const answer = await new Response(client.readable).text();
    assert.match(answer, /^HTTP\/1\.1 200 /);
  }
  await textOf(await bench.ask("/v1/openai/after").response);
  assert.deepEqual(seen, ["GET /v1/models", "GET /v1/models", "GET /v1/after"]);
});
