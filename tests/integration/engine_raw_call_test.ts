import assert from "node:assert/strict";
import { Engine } from "@lib/foundations/docker/engine.ts";
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import { readLogStream } from "@lib/foundations/docker/raw_answer.ts";
import { callRaw } from "@lib/foundations/docker/raw_exchange.ts";
import { answeringEngine } from "../support/answering_engine.ts";

const signal = AbortSignal.timeout(30_000);

Deno.test("callRaw() sends a body and parses the answer, in however many parts", async () => {
  using here = answeringEngine(["HTTP/1.0 201 Created\r\n", '\r\n{"Id":', '"aé"}\n']);
  const body = { Env: ["A=ü"] };
  const request = { method: "POST", target: "/x?name=a", body, what: "try", signal } as const;
  assert.deepEqual(await callRaw(here.address, request), { Id: "aé" });
  assert.equal(
    await here.asked,
    "POST /x?name=a HTTP/1.0\r\nHost: localhost\r\nContent-Length: 16\r\n" +
      'Content-Type: application/json\r\n\r\n{"Env":["A=ü"]}',
  );
});

Deno.test("callRaw() returns nothing for an empty answer", async () => {
  using here = answeringEngine("HTTP/1.0 204 No Content\r\n\r\n");
  const request = { method: "DELETE", target: "/x", what: "try", signal } as const;
  assert.equal(await callRaw(here.address, request), undefined);
});

Deno.test("callRaw() reports a refusal in the engine's words", async () => {
  using here = answeringEngine('HTTP/1.0 409 Conflict\r\n\r\n{"message":"\\"a\\" is\\nin use"}');
  await assert.rejects(
    callRaw(here.address, { method: "GET", target: "/x", what: "try", signal }),
    (error: unknown) =>
      error instanceof EngineError && error.status === 409 &&
      error.message === 'Cannot try: "a" is in use',
  );
});

Deno.test("callRaw() waits for no more than the answer, though the connection stays open", async () => {
  for (
    const [answer, expected] of [
      ['HTTP/1.0 200 OK\r\ncontent-length: 10\r\n\r\n{"Id":"a"}', { Id: "a" }],
      ["HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", undefined],
      ["HTTP/1.0 204 No Content\r\n\r\n", undefined],
    ] as const
  ) {
    using here = answeringEngine(answer, { isKept: true });
    const request = { method: "GET", target: "/x", what: "try", signal } as const;
    assert.deepEqual(await callRaw(here.address, request), expected);
  }
  using refusing = answeringEngine(
    'HTTP/1.0 404 Not Found\r\nContent-Length: 16\r\n\r\n{"message":"no"}',
    { isKept: true },
  );
  await assert.rejects(
    callRaw(refusing.address, { method: "GET", target: "/x", what: "try", signal }),
    { message: "Cannot try: no" },
  );
});

Deno.test("callRaw() takes an answer that is cut off for none", async () => {
  for (const answer of ['HTTP/1.0 200 OK\r\n\r\n{"Id":"a', "HTTP/1.0 200", ""]) {
    using here = answeringEngine(answer);
    await assert.rejects(
      callRaw(here.address, { method: "GET", target: "/x", what: "try", signal }),
      (error: unknown) => error instanceof EngineError && error.code === "engine_unavailable",
    );
  }
});

Deno.test("Engine creates a container by a request of its own", async () => {
  using here = answeringEngine('HTTP/1.0 201 Created\r\n\r\n{"Id":"abc"}');
  using engine = new Engine(here.address);
  const id = await engine.createContainer("b c", BODY, signal);
  assert.equal(id, "abc");
  assert.match(await here.asked, /^POST \/containers\/create\?name=b\+c HTTP\/1\.0\r\n/);
});

Deno.test("Engine names a missing engine, and the call", async () => {
  using engine = new Engine({ kind: "unix", path: "/nowhere/engine.sock" });
  await assert.rejects(engine.startContainer("a", signal), {
    code: "engine_unavailable",
    message: 'Cannot start container "a": the container engine is not running',
  });
});

Deno.test("readLogStream() passes on all of many small records", async () => {
  const records = Array.from({ length: 500 }, (_, number) => `${number}\n`);
  using here = answeringEngine(["HTTP/1.0 200 OK\r\n\r\n", ...records]);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of readLogStream(here.address, { container: "a", follow: true, signal })) {
    text += decoder.decode(chunk, { stream: true });
  }
  assert.equal(text, records.join(""));
});

const BODY = {
  Image: "a",
  Env: [],
  WorkingDir: "/",
  Labels: {},
  OpenStdin: false,
  Tty: false,
  HostConfig: {
    NetworkMode: "none",
    Mounts: [],
    PidsLimit: 1,
    Ulimits: [],
    Privileged: false,
    CapDrop: [],
    CapAdd: [],
    SecurityOpt: [],
    OomScoreAdj: 0,
    LogConfig: { Type: "none", Config: {} },
    RestartPolicy: { Name: "no" },
    AutoRemove: false,
  },
} as const;
