import assert from "node:assert/strict";
import { bootSuite } from "../support/suite_in_machine.ts";

Deno.test("logs, events and metrics are read as promised", async (t) => {
  await using suite = await bootSuite();
  const script =
    "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.02; done; printf 'ü%s' €";
  const { id } = await suite.submit({ project: "web", script, output: "merged" });
  await suite.ended(id);
  const whole = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nü€";

  await t.step(
    "the log is whole and in order",
    async () => assert.equal(await suite.log(id), whole),
  );

  await t.step("a range is a part of it", async () => {
    const { status, headers, text } = await suite.ask("GET", `/v1/jobs/${id}/logs`, {
      headers: { range: "bytes=6-11" },
    });
    assert.deepEqual([status, text], [206, "err 1\n"]);
    const size = new TextEncoder().encode(whole).length;
    assert.equal(headers["content-range"], `bytes 6-11/${size}`);
    const range = `bytes=${size}-`;
    const beyond = await suite.ask("GET", `/v1/jobs/${id}/logs`, { headers: { range } });
    assert.equal(beyond.status, 416);
  });

  await t.step("timestamps stand before each line", async () => {
    const { text } = await suite.ask("GET", `/v1/jobs/${id}/logs?timestamps=1`);
    const lines = text.split("\n");
    assert.equal(lines.length, 7);
    for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,}Z /);
    assert.deepEqual(lines.map((line) => line.slice(line.indexOf(" ") + 1)).join("\n"), whole);
  });

  await t.step("server-sent events resume after the last one", async () => {
    const accept = "Accept: text/event-stream";
    const path = `/v1/jobs/${id}/logs?follow=1`;
    const { stdout } = await suite.curl(path, "-H", accept, "-H", "Last-Event-ID: 12");
    assert.deepEqual(textOfEvents(stdout), whole.slice(12));
    assert.match(
      stdout,
      /event: end\nid: \d+\ndata: \{"state":"succeeded","reason":"exit_code","exit_code":0\}\n\n$/,
    );
  });

  await t.step("split output is read apart", async () => {
    const split = await suite.submit({ project: "web", script, output: "split" });
    await suite.ended(split.id);
    const read = async (stream: string) =>
      (await suite.ask("GET", `/v1/jobs/${split.id}/logs?stream=${stream}`)).text;
    assert.equal(await read("stdout"), "out 1\nout 2\nout 3\nü€");
    assert.equal(await read("stderr"), "err 1\nerr 2\nerr 3\n");
    const merged = await suite.ask("GET", `/v1/jobs/${id}/logs?stream=stderr`);
    assert.equal(merged.status, 422);
  });

  await t.step("a large log arrives whole, and a slow reader does not cost memory", async () => {
    const big = await suite.submit({ project: "web", script: "seq 1 2000000" });
    await suite.ended(big.id);
    const { stdout } = await suite.machine.exec([
      "sh",
      "-c",
      `curl -sN --unix-socket /run/user/1000/cicd-runner.sock http://localhost/v1/jobs/${big.id}/logs | cksum; seq 1 2000000 | cksum`,
    ], { user: "dev" });
    const [got, wanted] = stdout.trim().split("\n");
    assert.equal(got, wanted);
  });

  await t.step("the stream of events reports each change, and resumes", async () => {
    await using curl = await suite.stream("/v1/events?since=0");
    const events = curl.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes(`"id":"${id}"`)) text += (await events.read()).value ?? "";
    const next = await suite.submit({ project: "web", script: "true" });
    while (!new RegExp(`"id":"${next.id}"[^\n]*"state":"succeeded"`).test(text)) {
      text += (await events.read()).value ?? "";
    }
    await events.cancel();
  });

  await t.step("metrics and the API's description are well-formed", async () => {
    const { headers, text } = await suite.ask("GET", "/metrics");
    assert.match(headers["content-type"] ?? "", /openmetrics-text/);
    const sample = /^[a-z_][a-z0-9_]*(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? -?[0-9.e+-]+$/;
    for (const line of text.trimEnd().split("\n")) {
      assert.ok(line.startsWith("# ") || sample.test(line), line);
    }
    assert.match(text, /^cicd_jobs\{project="web",state="succeeded"\} \d+$/m);
    assert.ok(text.endsWith("# EOF\n"));
    const api = JSON.parse((await suite.ask("GET", "/openapi.json")).text);
    assert.match(api.openapi, /^3\.1/);
    assert.ok(api.paths["/v1/jobs"].post !== undefined);
  });

  await t.step("neither program found anything to warn about", async () => {
    assert.equal(await suite.journal("warning"), "");
  });
});

/** The log that a stream of events carries. */
function textOfEvents(stream: string): string {
  return stream.split("\n\n").filter((event) => event.startsWith("event: log\n")).map((event) => {
    const data = /^data: (.*)$/m.exec(event)?.[1] ?? "{}";
    return (JSON.parse(data) as { readonly text: string }).text;
  }).join("");
}
