import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { type OutgoingRequest, sendRequest } from "@lib/features/gryt/outgoing.ts";
import { publicAddressCheck } from "@lib/features/gryt/callback_target.ts";

async function serve(handle: RequestListener) {
  const server = createServer(handle);
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const address = server.address();
  assert(typeof address === "object" && address !== null);
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}

function send(url: string, changes: Partial<OutgoingRequest> = {}) {
  return sendRequest({
    url: new URL(url),
    method: "POST",
    headers: { "x-a": "1" },
    body: new TextEncoder().encode("body"),
    timeoutMs: 10_000,
    maxAnswerBytes: 1_000,
    signal: new AbortController().signal,
    ...changes,
  });
}

Deno.test("sendRequest() sends and reads, and follows no redirect", async () => {
  let seen = "";
  await using t = await serve((incoming, outgoing) => {
    incoming.setEncoding("utf8").on("data", (text) => {
      seen = `${incoming.method} ${incoming.url} ${incoming.headers.host} ${text}`;
    }).on("end", () => {
      outgoing.writeHead(302, { location: "/elsewhere" });
      outgoing.end("moved");
    });
  });
  const result = await send(`http://localhost:${t.port}/a?b=c`);
  assert(result.kind === "answered");
  assert.equal(result.status, 302);
  assert.equal(new TextDecoder().decode(result.body), "moved");
  assert.equal(seen, `POST /a?b=c localhost:${t.port} body`);
});

Deno.test("sendRequest() connects to no address that is not allowed, whatever its name", async () => {
  let requests = 0;
  await using t = await serve((_, outgoing) => {
    requests++;
    outgoing.end();
  });
  const isAllowed = await publicAddressCheck();
  for (
    const host of ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"]
  ) {
    const result = await send(`http://${host}:${t.port}/`, { isAllowed });
    assert.equal(result.kind, "forbidden", host);
  }
  assert.equal(requests, 0);
});

Deno.test("sendRequest() distinguishes what never arrived from what may have", async () => {
  const closed = await serve(() => {});
  await closed[Symbol.asyncDispose]();
  assert.equal((await send(`http://127.0.0.1:${closed.port}/`)).kind, "unreachable");
  assert.equal((await send("http://nothing.invalid/")).kind, "unreachable");
  await using cut = await serve((incoming) => incoming.socket.destroy());
  assert.equal((await send(`http://127.0.0.1:${cut.port}/`)).kind, "broken");
  await using half = await serve((incoming, outgoing) => {
    outgoing.writeHead(200, { "content-length": "100" });
    outgoing.write("some");
    setTimeout(() => incoming.socket.destroy(), 20);
  });
  assert.equal((await send(`http://127.0.0.1:${half.port}/`)).kind, "broken");
  await using long = await serve((_, outgoing) => outgoing.end("x".repeat(2_000)));
  assert.equal((await send(`http://127.0.0.1:${long.port}/`)).kind, "broken");
});

Deno.test("sendRequest() gives up at its time limit, and at once when it is told to", async () => {
  await using silent = await serve(() => {});
  const late = await send(`http://127.0.0.1:${silent.port}/`, { timeoutMs: 100 });
  assert.equal(late.kind, "broken");
  const stop = new AbortController();
  const asked = send(`http://127.0.0.1:${silent.port}/`, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(asked, /enough/);
});

Deno.test("sendRequest() sends nothing before TLS is agreed on", async () => {
  const bytes: number[] = [];
  const server = createTcpServer((socket) => {
    socket.on("data", (data) => bytes.push(data[0] ?? 0));
    socket.on("error", () => socket.destroy());
    setTimeout(() => socket.destroy(), 50);
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const address = server.address();
  assert(typeof address === "object" && address !== null);
  const result = await send(`https://127.0.0.1:${address.port}/`);
  assert.equal(result.kind, "unreachable");
  // A TLS record of a handshake, not a request line.
  assert(bytes.every((byte) => byte === 0x16));
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  await closed.promise;
});
