import assert from "node:assert/strict";
// @ts-types="../../lib/foundations/http/ws.d.ts"
import { type RawData, WebSocket } from "ws";
import { ignore } from "@lib/core/errors.ts";
import { answers } from "@lib/foundations/http/socket_path.ts";
import { isGrytResult, pipelineBase64 } from "../support/gryt_client.ts";
import { API_KEY, freePort, startEmptyEngine, startRunner } from "../support/gryt_runner.ts";
import { pause } from "../support/runner_process.ts";

const job = { job_id: 123, pipeline_b64: pipelineBase64("print('hello')\n") };

/** The messages of a WebSocket until it closed; `status` if the upgrade was refused. */
interface Conversation {
  readonly log: string;
  readonly texts: readonly string[];
  readonly code?: number;
  readonly status?: number;
}

function follow(port: number, key: string): Promise<Conversation> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/jobs/${job.job_id}/logs`, {
      headers: { "x-api-key": key },
    });
    const decoder = new TextDecoder();
    let log = "";
    const texts: string[] = [];
    socket.on("message", (data: RawData, isBinary: boolean) => {
      assert(data instanceof Uint8Array);
      if (isBinary) log += decoder.decode(data, { stream: true });
      else texts.push(decoder.decode(data));
    });
    socket.on("unexpected-response", (_, response) => {
      response.resume();
      resolve({ log, texts, status: response.statusCode ?? 0 });
    });
    socket.on("error", reject);
    socket.on("close", (code) => resolve({ log, texts, code }));
  });
}

Deno.test("the log of a Gryt job is followed over a WebSocket with Gryt's key", async () => {
  const release = Promise.withResolvers<void>();
  await using engine = await startEmptyEngine(release.promise);
  const port = freePort();
  await using t = await startRunner({
    engine: engine.path,
    args: [`--listen-address=127.0.0.1:${port}`],
  });
  const answer = t.client.execute(job);
  await engine.asked;
  const followed = follow(port, API_KEY);
  assert.deepEqual(await follow(port, "wrong"), { log: "", texts: [], status: 401 });
  release.resolve();
  const { log, texts, code } = await followed;
  assert.match(log, /^\[setup\] .*image/m);
  assert.match(log, /this engine has nothing/);
  assert.equal(code, 1000);
  assert.equal(texts.length, 1);
  assert.equal(JSON.parse(texts[0] ?? "").state, "failed");
  assert.equal((await answer).body.success, false);
  // Whose job has ended gets it all the same.
  assert.equal((await follow(port, API_KEY)).log, log);
});

Deno.test("SIGTERM lets a client that waits for a Gryt job have its answer", async () => {
  const release = Promise.withResolvers<void>();
  await using engine = await startEmptyEngine(release.promise);
  await using t = await startRunner({ engine: engine.path });
  const answer = t.client.execute(job);
  void answer.catch(ignore("awaited below; a failure before that is the one to report"));
  await engine.asked;
  const ended = t.bench.kill("SIGTERM");
  // From the moment on that nobody new is let in, the runner is on its way out.
  while (await answers(t.bench.socket)) await pause(5);
  // Longer than other requests are given.
  await pause(1_500);
  release.resolve();
  const { status, body } = await answer;
  assert.equal(status, 200);
  assert(isGrytResult(body), JSON.stringify(body));
  assert.equal(body.success, false);
  assert.equal((await ended).code, 0);
});

Deno.test("SIGTERM lets a client end its Gryt request, and have its answer", async () => {
  await using engine = await startEmptyEngine();
  await using t = await startRunner({ engine: engine.path });
  using client = await Deno.connect({ transport: "unix", path: t.bench.socket });
  const encoder = new TextEncoder();
  const body = JSON.stringify(job);
  const head = [
    "POST /jobs/execute HTTP/1.1",
    "host: localhost",
    "connection: close",
    `x-api-key: ${API_KEY}`,
    `content-length: ${body.length}`,
    // Shows when the runner has the header.
    "expect: 100-continue",
  ];
  await client.write(encoder.encode(`${head.join("\r\n")}\r\n\r\n`));
  const texts = client.readable.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await texts.read()).value, "HTTP/1.1 100 Continue\r\n\r\n");
  const ended = t.bench.kill("SIGTERM");
  while (await answers(t.bench.socket)) await pause(5);
  // Longer than other requests are given.
  await pause(1_500);
  await client.write(encoder.encode(body));
  let answer = "";
  for (let next = await texts.read(); !next.done; next = await texts.read()) answer += next.value;
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*"success":false/);
  assert.equal((await ended).code, 0);
});
