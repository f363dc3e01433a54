import assert from "node:assert/strict";
import { ignore } from "@lib/core/errors.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

/** Sends a request on a connection of its own; `text` resolves at the end of the connection. */
async function connected(path: string, request: string) {
  const connection = await Deno.connect({ transport: "unix", path });
  await connection.write(new TextEncoder().encode(request));
  const reader = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
  let text = (await reader.read()).value ?? "";
  const rest = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
    return text;
  };
  return { text: rest() };
}

Deno.test("SIGTERM ends each answer that goes on as documented, and idle connections", async () => {
  await using t = new RunnerBench();
  await t.start();
  const body = { project: "web", script: "echo begun; until [ -e ../go ]; do sleep 0.1; done" };
  const { body: { id } } = await t.json("POST", "/v1/jobs", { body });
  const logs = `/v1/jobs/${id}/logs?follow=1`;
  const open = async (path: string, accept = "*/*") => {
    const response = await t.ask("GET", path, { headers: { accept } });
    assert.equal(response.status, 200);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    assert(reader !== undefined);
    let text = "";
    const read = async () => {
      const { done, value = "" } = await reader.read();
      text += value;
      return !done;
    };
    while (!/begun|^id: /m.test(text)) assert(await read(), text);
    const rest = async () => {
      while (await read());
      return text;
    };
    const ended = rest();
    void ended.catch(ignore("awaited below; a failure before that is the one to report"));
    return { text: ended };
  };
  const whole = await open(logs);
  const log = await open(logs, "text/event-stream");
  const events = await open("/v1/events", "text/event-stream");
  const counted = await open(logs, "text/plain");
  const isCut = assert.rejects(counted.text);
  const idle = await connected(t.socket, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
  const waited = t.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
  void waited.catch(ignore("as above"));
  const metrics = async () => await (await t.ask("GET", "/metrics")).text();
  // Four that go on, the wait, and this one.
  while (!/^cicd_http_active_requests 6$/m.test(await metrics())) await pause(20);
  assert.equal((await t.kill("SIGTERM")).code, 0);
  const resume = `GET /v1/jobs/${id}/logs?follow=1&offset=6`;
  assert.equal(
    await whole.text,
    `begun\ncicd-interrupted reason=runner_stopping job=${id} offset=6 resume="${resume}"\n`,
  );
  assert.match(await log.text, /\nevent: interrupted\nid: 6\ndata: \{"reason":"runner_stopping",/);
  assert.match(await events.text, /\nevent: interrupted\nid: \d+\ndata: \{"reason":"runner_stop/);
  await isCut;
  assert.match(await idle.text, /^HTTP\/1\.1 200 OK\r\n/);
  const { status, body: { state } } = await waited;
  assert.equal(status, 202);
  assert.match(state, /^(starting|running)$/);
  await t.start();
  await t.json("POST", `/v1/jobs/${id}/cancel`);
  await t.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
});
