import assert from "node:assert/strict";
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import { ignore } from "@lib/core/errors.ts";
import { waitForEnd } from "@lib/foundations/docker/raw_answer.ts";
import { answeringEngine } from "../support/answering_engine.ts";

const signal = AbortSignal.timeout(30_000);

Deno.test("waitForEnd() resolves when the engine says how the container ended", async () => {
  using here = answeringEngine('HTTP/1.0 200 OK\r\n\r\n{"Error":null,"StatusCode":143}\n');
  await waitForEnd(here.address, { container: "a/b", signal });
  assert.match(await here.asked, /^POST \/containers\/a%2Fb\/wait HTTP\/1\.0\r\n/);
});

Deno.test("waitForEnd() does not take an engine that dies for the end of the container", async () => {
  using here = answeringEngine("HTTP/1.0 200 OK\r\n\r\n");
  await assert.rejects(
    waitForEnd(here.address, { container: "a", signal }),
    (error: unknown) => error instanceof EngineError && error.code === "engine_unavailable",
  );
});

Deno.test("waitForEnd() reports that there is no such container", async () => {
  using here = answeringEngine('HTTP/1.0 404 Not Found\r\n\r\n{"message":"No such container: a"}');
  await assert.rejects(
    waitForEnd(here.address, { container: "a", signal }),
    (error: unknown) =>
      error instanceof EngineError && error.status === 404 &&
      error.message === "Cannot wait for a container: No such container: a",
  );
});

Deno.test("waitForEnd() ends when it is aborted while the engine accepts no connection", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  assert(listener.addr.transport === "tcp");
  const { hostname: host, port } = listener.addr;
  const stop = new AbortController();
  // Nobody accepts: connections fill the backlog until one has to wait.
  const open: Promise<Deno.Conn>[] = [];
  let isFull = false;
  while (!isFull) {
    const connecting = Deno.connect({ hostname: host, port, signal: stop.signal });
    open.push(connecting);
    isFull = await Promise.race([
      connecting.then(() => false),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 200)),
    ]);
  }
  const soon = AbortSignal.timeout(200);
  const address = { kind: "tcp", host, port } as const;
  await assert.rejects(waitForEnd(address, { container: "a", signal: soon }), {
    name: "TimeoutError",
  });
  stop.abort();
  for (const one of open) void one.then((conn) => conn.close(), ignore("it was never open"));
});
