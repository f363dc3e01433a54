import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import {
  type HttpServer,
  type HttpServerOptions,
  startHttpServer,
} from "@lib/foundations/http/server.ts";
import { isNobodyListening } from "@lib/core/errors.ts";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";
import { pause } from "../support/runner_process.ts";

const HOST = "Host: x\r\n";
const never = new AbortController().signal;

interface Bench extends AsyncDisposable {
  readonly path: string;
  readonly server: HttpServer;
  readonly errors: unknown[];
  readonly descriptors: number[];
  /** Sends bytes and gives what came back once `until` fits it, or the connection is closed. */
  raw(bytes: string, until?: RegExp): Promise<string>;
  open(): Promise<Socket>;
}

async function serve(
  handle: HttpServerOptions["handle"],
  limits: Partial<HttpServerOptions["limits"]> = {},
  more: Pick<HttpServerOptions, "upgrade"> = {},
): Promise<Bench> {
  const directory = await Deno.makeTempDir({ prefix: "http-" });
  const path = `${directory}/s.sock`;
  const errors: unknown[] = [];
  const descriptors: number[] = [];
  const server = await startHttpServer({
    listeners: [{ kind: "unix", path }],
    limits: { maxConnections: 4, maxHeaderBytes: 8_192, headerTimeoutMs: 60_000, ...limits },
    handle,
    ...more,
    keepFromChildren: (fd) => descriptors.push(fd),
    onError: (_, error) => errors.push(error),
  });
  return {
    path,
    server,
    errors,
    descriptors,
    raw: (bytes, until) =>
      new Promise((resolve) => {
        const socket = connect({ path });
        let got = "";
        socket.on("data", (chunk) => {
          got += chunk;
          if (until?.test(got)) socket.destroy();
        });
        socket.on("error", () => socket.destroy());
        socket.on("close", () => resolve(got));
        socket.write(bytes);
      }),
    open: () =>
      new Promise((resolve) => {
        const socket = connect({ path });
        socket.on("error", () => socket.destroy());
        socket.once("connect", () => resolve(socket));
      }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

function get(path = "/"): string {
  return `GET ${path} HTTP/1.1\r\n${HOST}\r\n`;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(5);
}

/** Waits until the request is aborted. */
function gone(request: Request): Promise<Response> {
  return new Promise((_, reject) => {
    request.signal.addEventListener("abort", () => reject(request.signal.reason));
  });
}

Deno.test("a socket of our own is for its owner only, and no child gets it", async () => {
  await using t = await serve(() => new Response("x"));
  assert.equal(((await Deno.stat(t.path)).mode ?? 0) & 0o777, 0o600);
  const [fd] = t.descriptors;
  assert.match(await Deno.readLink(`/proc/self/fd/${fd}`), /^socket:/);
});

Deno.test("a body that fails half-way breaks the connection and is not ended cleanly", async () => {
  await using t = await serve(() => {
    let count = 0;
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (count++ === 0) controller.enqueue(new TextEncoder().encode("half"));
          else controller.error(new Error("hunter2"));
        },
      }),
      { headers: { "content-type": "text/plain" } },
    );
  });
  const got = await t.raw(get());
  assert.match(got, /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(got, /\r\n0\r\n\r\n$|hunter2/);
  using client = new UnixClient(t.path);
  using response = await client.send({ method: "GET", path: "/", signal: never });
  await assert.rejects(response.text(), /the connection broke/);
  assert.equal(t.errors.length, 2);
});

Deno.test("a handler that throws gives a 500 that reveals no internals", async () => {
  await using t = await serve(() => {
    throw new Error("hunter2");
  });
  const got = await t.raw(get(), /\}\n$/);
  assert.match(got, /^HTTP\/1\.1 500 [^]*"code":"internal"/);
  assert.doesNotMatch(got, /hunter2/);
  assert.equal(t.errors.length, 1);
});

Deno.test("a client that disconnects is reported to the handler, and is not an error", async () => {
  await using t = await serve(gone);
  const socket = await t.open();
  socket.write(get());
  await until(() => t.server.activeRequests === 1);
  socket.destroy();
  await until(() => t.server.activeRequests === 0);
  assert.deepEqual(t.errors, []);
});

Deno.test("requests that waited behind one whose client went away are not counted for ever", async () => {
  await using t = await serve(gone);
  const socket = await t.open();
  socket.write(get() + get() + get());
  await until(() => t.server.activeRequests === 3);
  socket.destroy();
  await until(() => t.server.connections === 0);
  await until(() => t.server.activeRequests === 0);
});

Deno.test("a connection too many is refused, and its request never handled", async () => {
  let handled = 0;
  await using t = await serve(() => {
    handled++;
    return new Response("x");
  });
  const held = await Promise.all(Array.from({ length: 4 }, () => t.open()));
  await until(() => t.server.connections === 4);
  assert.match(await t.raw(get()), /^HTTP\/1\.1 503 [^]*Retry-After: 1[^]*too_many_connections/);
  assert.equal(handled, 0);
  held[0]?.destroy();
  await until(() => t.server.connections === 3);
  assert.match(await t.raw(get(), /x\r\n0/), /^HTTP\/1\.1 200 /);
  for (const socket of held) socket.destroy();
});

Deno.test("a header that does not arrive in time is answered with 408", async () => {
  await using t = await serve(() => new Response("x"), { headerTimeoutMs: 50 });
  const [silent, half] = await Promise.all([t.raw(""), t.raw("GET / HT")]);
  assert.match(silent, /^HTTP\/1\.1 408 /);
  assert.match(half, /^HTTP\/1\.1 408 /);
});

Deno.test("an answer to a body that was not read closes the connection", async () => {
  await using t = await serve(() => new Response("x"));
  const head = `POST / HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\n`;
  const got = await t.raw(`${head}only this`);
  assert.match(got, /^HTTP\/1\.1 200 [^]*connection: close/i);
});

for (
  const [why, bytes] of [
    ["no Host field", "GET / HTTP/1.1\r\n\r\n"],
    ["two Host fields", `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
    ["a Host that is none", "GET / HTTP/1.1\r\nHost: a/b?c\r\n\r\n"],
    ["version 2.0", `GET / HTTP/2.0\r\n${HOST}\r\n`],
    ["version 0.9", `GET / HTTP/0.9\r\n${HOST}\r\n`],
    ["a coding of transfer", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip\r\n\r\nx`],
    [
      "two codings of transfer",
      `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    ],
    ["an expectation", `POST / HTTP/1.1\r\n${HOST}Expect: money\r\nContent-Length: 1\r\n\r\nx`],
    ["CONNECT", `CONNECT x:1 HTTP/1.1\r\n${HOST}\r\n`],
    [
      "an upgrade with two Host fields",
      `GET / HTTP/1.1\r\n${HOST}${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    ],
    [
      "an upgrade without a key",
      `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    ],
  ] as const
) {
  Deno.test(`a request with ${why} is refused once, with a problem document`, async () => {
    let handled = 0;
    const upgrade = () => Promise.resolve(() => Promise.resolve());
    const handle = () => {
      handled++;
      return new Response("x");
    };
    await using t = await serve(handle, {}, { upgrade });
    const got = await t.raw(bytes);
    assert.match(got, /^HTTP\/1\.1 400 [^]*application\/problem\+json[^]*"code":"invalid_http"/);
    assert.equal(got.split("HTTP/1.1 400").length, 2);
    assert.equal(handled, 0);
    assert.deepEqual(t.errors, []);
  });
}

Deno.test("a body of chunks is read however its coding is spelled", async () => {
  await using t = await serve(async (request) => new Response(await request.text()));
  const head = `POST / HTTP/1.1\r\n${HOST}Connection: close\r\nTransfer-Encoding: Chunked\r\n\r\n`;
  assert.match(await t.raw(`${head}3\r\nabc\r\n0\r\n\r\n`), /^HTTP\/1\.1 200 [^]*abc/);
});

Deno.test("garbage after a request is refused after the answer to the request", async () => {
  await using t = await serve(async (request) => {
    const text = await request.text();
    await pause(20);
    return Response.json({ text });
  });
  const post = `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`;
  for (const valid of [post, get() + post]) {
    const got = await t.raw(`${valid}\x00GARBAGE\r\n\r\n`);
    assert.match(got, /^HTTP\/1\.1 200 [^]*\{"text":"abc"\}[^]*HTTP\/1\.1 400 [^]*invalid_http/);
  }
  // A body that is broken itself leaves nothing to wait for.
  const chunks = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;
  assert.match(await t.raw(`${chunks}3\r\nabcGARBAGE`), /^HTTP\/1\.1 400 [^]*invalid_http/);
});

Deno.test("HEAD is answered with the header alone, and nothing is produced", async () => {
  let produced = false;
  await using t = await serve(() =>
    new Response(
      new ReadableStream({
        pull(controller) {
          produced = true;
          controller.close();
        },
      }, { highWaterMark: 0 }),
    )
  );
  const got = await t.raw(`HEAD / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
  assert(got.endsWith("\r\n\r\n"));
  assert.equal(produced, false);
});

Deno.test("drained() waits for answers under way and for a request that is about to come", async () => {
  const ready = Promise.withResolvers<void>();
  await using t = await serve(async () => {
    await ready.promise;
    return new Response("late");
  });
  const busy = t.raw(get());
  const fresh = await t.open();
  await until(() => t.server.activeRequests === 1 && t.server.connections === 2);
  t.server.stopAccepting();
  let isDrained = false;
  const drained = t.server.drained(never).then(() => isDrained = true);
  ready.resolve();
  assert.match(await busy, /late/);
  assert.equal(isDrained, false);
  fresh.write(get());
  let got = "";
  fresh.on("data", (chunk) => got += chunk);
  await drained;
  await until(() => fresh.destroyed);
  assert.match(got, /late/);
  await assert.rejects(Deno.lstat(t.path), Deno.errors.NotFound);
});

Deno.test("disposing breaks open connections and informs their handlers", async () => {
  let told = false;
  const t = await serve(async (request) => {
    try {
      return await gone(request);
    } finally {
      told = true;
    }
  });
  const busy = t.raw(get());
  await until(() => t.server.activeRequests === 1);
  await t[Symbol.asyncDispose]();
  assert.equal(await busy, "");
  assert(told);
});

Deno.test("UnixClient keeps its connection when an answer is left unread, and says if nobody listens", async () => {
  await using t = await serve(() => Response.json({ text: "x".repeat(100) }));
  using client = new UnixClient(t.path);
  for (let count = 0; count < 20; count++) {
    using response = await client.send({ method: "GET", path: "/", signal: never });
    assert.equal(response.status, 200);
  }
  assert(t.server.connections <= 4);
  using nobody = new UnixClient(`${t.path}.none`);
  await assert.rejects(
    nobody.send({ method: "GET", path: "/", signal: never }),
    isNobodyListening,
  );
});

Deno.test("UnixClient breaks a request off when its signal aborts", async () => {
  await using t = await serve(gone);
  using client = new UnixClient(t.path);
  const stop = new AbortController();
  const sent = client.send({ method: "GET", path: "/", signal: stop.signal });
  await until(() => t.server.activeRequests === 1);
  stop.abort(new Error("enough"));
  await assert.rejects(sent, /enough/);
  await until(() => t.server.activeRequests === 0);
});

Deno.test("a body arrives byte for byte, at once or in parts, from pipelined requests too", async () => {
  const parts = ["ä", "", "\0\xff", "b".repeat(300_000), "c"];
  const whole = (path: string) => ({ text: "ä€\xff".repeat(path === "/long" ? 40_000 : 10) });
  await using bench = await serve(({ url }) => {
    const { pathname } = new URL(url);
    if (pathname !== "/parts") return Response.json(whole(pathname));
    const encoder = new TextEncoder();
    return new Response(ReadableStream.from(parts.map((part) => encoder.encode(part))));
  });
  using client = new UnixClient(bench.path);
  const paths = ["/parts", "/long", "/parts", "/short", "/parts"];
  const expected = (path: string) =>
    path === "/parts" ? parts.join("") : JSON.stringify(whole(path));
  for (const path of paths) {
    using response = await client.send({ method: "GET", path, signal: never });
    assert.equal(await response.text(), expected(path), path);
  }
  const old = await bench.raw(`GET /parts HTTP/1.0\r\n${HOST}\r\n`);
  assert.ok(old.endsWith(`\r\n\r\n${parts.join("")}`));
  const last = `GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;
  const got = await bench.raw(paths.map(get).join("") + last);
  assert.equal(got.split("HTTP/1.1 200").length, paths.length + 2);
  assert.equal(got.split("b".repeat(300_000)).length, 4);
  assert.deepEqual(bench.errors, []);
});

Deno.test("a client that leaves in the middle of pipelined answers ends them all, without an error", async () => {
  let open = 0;
  await using bench = await serve(() => {
    open++;
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(256 * 1024)),
      cancel: () => void open--,
    });
    return new Response(body);
  });
  for (let round = 0; round < 5; round++) {
    const socket = await bench.open();
    socket.write(get().repeat(3));
    await new Promise((resolve) => socket.once("data", resolve));
    await until(() => open === 3);
    socket.destroy();
    await until(() => open === 0);
  }
  assert.equal(bench.server.activeRequests, 0);
  assert.deepEqual(bench.errors, []);
});
