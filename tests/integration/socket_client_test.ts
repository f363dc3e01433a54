import assert from "node:assert/strict";
import { CicdError, isNobodyListening } from "@lib/core/errors.ts";
import { SocketClient } from "@lib/foundations/http/socket_client.ts";

const never = new AbortController().signal;

/** Answers each connection with bytes, once its request has arrived; then closes it. */
async function serve(answer: string | ((connection: Deno.UnixConn) => Promise<void>)) {
  const directory = await Deno.makeTempDir({ prefix: "socket-client-" });
  const path = `${directory}/s.sock`;
  const listener = Deno.listen({ transport: "unix", path });
  const requests: string[] = [];
  const serving = (async () => {
    for await (const connection of listener) {
      const buffer = new Uint8Array(64 * 1024);
      const count = await connection.read(buffer) ?? 0;
      requests.push(new TextDecoder().decode(buffer.subarray(0, count)));
      if (typeof answer === "string") await connection.write(new TextEncoder().encode(answer));
      else await answer(connection);
      connection.close();
    }
  })();
  return {
    path,
    requests,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

async function textOf(answer: string): Promise<string> {
  await using t = await serve(answer);
  using client = new SocketClient(t.path);
  using response = await client.send({ method: "GET", path: "/", signal: never });
  return await response.text();
}

Deno.test("SocketClient sends a request and reads a body of a known length", async () => {
  await using t = await serve("HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabcd");
  using client = new SocketClient(t.path);
  const headers = { accept: "text/plain" };
  const request = { method: "POST", path: "/v1?a=b", headers, body: '"\u00e9"', signal: never };
  using response = await client.send(request);
  assert.deepEqual([response.status, response.headers["x-a"]], [201, "b"]);
  assert.equal(await response.text(), "abc");
  assert.equal(
    t.requests[0],
    "POST /v1?a=b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: text/plain\r\n" +
      'content-length: 4\r\n\r\n"\u00e9"',
  );
});

Deno.test("SocketClient reads chunks, a body until the end, and no body", async () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  assert.equal(
    await textOf(`${chunked}3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n`),
    "abc0123456789",
  );
  assert.equal(await textOf("HTTP/1.1 200 OK\r\n\r\nto the end"), "to the end");
  assert.equal(await textOf("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n"), "");
});

Deno.test("SocketClient tells a broken answer from a whole one", async () => {
  const broken = [
    "",
    "HTTP/1.1 200 OK\r\nContent-Le",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "SSH-2.0-x\r\n",
  ];
  for (const answer of broken) {
    await assert.rejects(
      textOf(answer),
      (error) => error instanceof CicdError && error.code === "io_failed",
      JSON.stringify(answer),
    );
  }
  await using t = await serve("HTTP/1.1 200 OK\r\n\r\nlonger");
  using client = new SocketClient(t.path);
  using response = await client.send({ method: "GET", path: "/", signal: never });
  await assert.rejects(response.text(5), /larger than 5 bytes/);
});

Deno.test("SocketClient says if nobody listens", async () => {
  const path = await Deno.makeTempDir({ prefix: "socket-client-" });
  using client = new SocketClient(`${path}/none`);
  const sent = client.send({ method: "GET", path: "/", signal: never });
  await assert.rejects(sent, isNobodyListening);
  await Deno.remove(path);
});

Deno.test("SocketClient breaks off when its signal aborts", async () => {
  const arrived = Promise.withResolvers<void>();
  await using t = await serve(async (connection) => {
    arrived.resolve();
    // Ends when the client has closed its side.
    while (await connection.read(new Uint8Array(16)) !== null);
  });
  using client = new SocketClient(t.path);
  const stop = new AbortController();
  const sent = client.send({ method: "GET", path: "/", signal: stop.signal });
  await arrived.promise;
  stop.abort(new Error("enough"));
  await assert.rejects(sent, /enough/);
});

Deno.test("SocketClient sends no line break of a header", async () => {
  await using t = await serve("");
  using client = new SocketClient(t.path);
  const headers = { "x-a": "b\r\nx-c: d" };
  await assert.rejects(client.send({ method: "GET", path: "/", headers, signal: never }));
  assert.doesNotMatch(t.requests.join(""), /x-c/);
});
