import assert from "node:assert/strict";
import * as zlib from "node:zlib";
import { AnswerTap } from "@lib/features/llm_proxy/answer_tap.ts";
import type { Count } from "@lib/features/llm_proxy/token_count.ts";

const encoder = new TextEncoder();

async function tap(
  bytes: Uint8Array,
  { type = "application/json", coding = "", piece = bytes.length }: {
    type?: string;
    coding?: string;
    piece?: number;
  } = {},
) {
  const one = new AnswerTap({ contentType: type, contentEncoding: coding });
  for (let from = 0; from < bytes.length; from += piece) {
    await one.write(bytes.subarray(from, from + piece));
  }
  return await one.end();
}

const events = (...all: readonly unknown[]) =>
  all.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("");
const text = "tokens of any kind ü ".repeat(20);

/** What each provider sends, whole and streamed, and what it means. */
const SAMPLES: readonly (readonly [name: string, type: string, body: string, count: Count])[] = [
  [
    "anthropic",
    "application/json",
    JSON.stringify({
      id: "msg_1",
      type: "message",
      model: "claude-sonnet-4-20250514",
      content: [{ type: "text", text: `{"usage":{"input_tokens":9}} ${text}` }],
      usage: {
        input_tokens: 1500,
        output_tokens: 500,
        cache_read_input_tokens: 200,
        cache_creation_input_tokens: 100,
      },
    }),
    {
      model: "claude-sonnet-4-20250514",
      input: 1500,
      output: 500,
      cacheRead: 200,
      cacheWrite: 100,
    },
  ],
  [
    "anthropic, streamed",
    "text/event-stream; charset=utf-8",
    "event: message_start\n" + events(
      {
        type: "message_start",
        message: {
          model: "claude-opus-4",
          usage: { input_tokens: 25, output_tokens: 1, cache_read_input_tokens: 3 },
        },
      },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } },
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 15 } },
      { type: "message_stop" },
    ),
    { model: "claude-opus-4", input: 25, output: 15, cacheRead: 3, cacheWrite: 0 },
  ],
  [
    "openai",
    "application/json",
    JSON.stringify({
      model: "gpt-4o",
      choices: [{ message: { content: text } }],
      usage: {
        prompt_tokens: 100,
        completion_tokens: 20,
        total_tokens: 120,
        prompt_tokens_details: { cached_tokens: 64 },
      },
    }),
    { model: "gpt-4o", input: 36, output: 20, cacheRead: 64, cacheWrite: 0 },
  ],
  [
    "openai, streamed",
    "text/event-stream",
    events(
      { model: "gpt-4o", choices: [{ delta: { content: text } }], usage: null },
      { model: "gpt-4o", choices: [], usage: { prompt_tokens: 8, completion_tokens: 4 } },
    ) + "data: [DONE]\n\n",
    { model: "gpt-4o", input: 8, output: 4, cacheRead: 0, cacheWrite: 0 },
  ],
  [
    "openai's responses, streamed",
    "text/event-stream",
    events(
      { type: "response.created", response: { model: "o3", usage: null } },
      { type: "response.output_text.delta", delta: text },
      {
        type: "response.completed",
        response: {
          model: "o3",
          output: [{ content: text }],
          usage: {
            input_tokens: 30,
            input_tokens_details: { cached_tokens: 10 },
            output_tokens: 12,
            output_tokens_details: { reasoning_tokens: 5 },
          },
        },
      },
    ),
    { model: "o3", input: 20, output: 12, cacheRead: 10, cacheWrite: 0 },
  ],
  [
    "google",
    "application/json; charset=UTF-8",
    JSON.stringify({
      candidates: [{ content: { parts: [{ text }] } }],
      usageMetadata: {
        promptTokenCount: 50,
        candidatesTokenCount: 7,
        thoughtsTokenCount: 3,
        cachedContentTokenCount: 20,
      },
      modelVersion: "gemini-2.5-pro",
    }),
    { model: "gemini-2.5-pro", input: 30, output: 10, cacheRead: 20, cacheWrite: 0 },
  ],
  [
    "google, streamed as a list",
    "application/json",
    JSON.stringify([
      {
        candidates: [{ content: { parts: [{ text }] } }],
        usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 2 },
        modelVersion: "gemini-2.5-flash",
      },
      {
        candidates: [],
        usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 9 },
        modelVersion: "gemini-2.5-flash",
      },
    ]),
    { model: "gemini-2.5-flash", input: 5, output: 9, cacheRead: 0, cacheWrite: 0 },
  ],
  [
    "google, streamed as events",
    "text/event-stream",
    events(
      { usageMetadata: { promptTokenCount: 5 }, modelVersion: "gemini-2.0-flash" },
      { usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 9 } },
    ),
    { model: "gemini-2.0-flash", input: 5, output: 9, cacheRead: 0, cacheWrite: 0 },
  ],
  [
    "groq, streamed",
    "text/event-stream",
    events(
      { model: "llama-3.3-70b-versatile", choices: [{ delta: { content: text } }] },
      {
        model: "llama-3.3-70b-versatile",
        choices: [],
        x_groq: { id: "req_1", usage: { prompt_tokens: 6, completion_tokens: 2 } },
      },
    ),
    { model: "llama-3.3-70b-versatile", input: 6, output: 2, cacheRead: 0, cacheWrite: 0 },
  ],
  [
    "xai, whose reasoning is beside the completion",
    "application/json",
    JSON.stringify({
      model: "grok-3-mini",
      usage: { prompt_tokens: 32, completion_tokens: 9, total_tokens: 135 },
    }),
    { model: "grok-3-mini", input: 32, output: 103, cacheRead: 0, cacheWrite: 0 },
  ],
  [
    "cohere",
    "application/json",
    JSON.stringify({ text, meta: { billed_units: { input_tokens: 4, output_tokens: 6 } } }),
    { model: "", input: 4, output: 6, cacheRead: 0, cacheWrite: 0 },
  ],
  [
    "cohere's second API, streamed",
    "text/event-stream",
    events(
      { type: "content-delta", delta: { message: { content: { text } } } },
      {
        type: "message-end",
        delta: {
          finish_reason: "COMPLETE",
          usage: { billed_units: { input_tokens: 3, output_tokens: 8 }, tokens: {} },
        },
      },
    ),
    { model: "", input: 3, output: 8, cacheRead: 0, cacheWrite: 0 },
  ],
  [
    "cohere's first API, streamed",
    "application/stream+json",
    [
      { event_type: "text-generation", text },
      {
        event_type: "stream-end",
        response: { meta: { billed_units: { input_tokens: 3, output_tokens: 8 } } },
      },
    ].map((each) => `${JSON.stringify(each)}\n`).join(""),
    { model: "", input: 3, output: 8, cacheRead: 0, cacheWrite: 0 },
  ],
  [
    "ollama, streamed",
    "application/x-ndjson",
    [
      { model: "llama3.2", response: text, done: false },
      { model: "llama3.2", done: true, prompt_eval_count: 26, eval_count: 298 },
    ].map((each) => `${JSON.stringify(each)}\n`).join(""),
    { model: "llama3.2", input: 26, output: 298, cacheRead: 0, cacheWrite: 0 },
  ],
];

const CODINGS: readonly (readonly [string, (bytes: Uint8Array) => Uint8Array])[] = [
  ["", (bytes) => bytes],
  ["identity", (bytes) => bytes],
  ["gzip", zlib.gzipSync],
  ["x-gzip", zlib.gzipSync],
  ["deflate", zlib.deflateSync],
  ["deflate", zlib.deflateRawSync],
  ["br", zlib.brotliCompressSync],
  ["zstd", zlib.zstdCompressSync],
];

Deno.test("AnswerTap counts what each provider sends, whole and streamed, cut at every byte", async () => {
  for (const [name, type, body, count] of SAMPLES) {
    const bytes = encoder.encode(body);
    for (const piece of [bytes.length, 1, 7]) {
      assert.deepEqual(await tap(bytes, { type, piece }), { count }, name);
    }
    for (let cut = 1; cut < bytes.length; cut++) {
      const one = new AnswerTap({ contentType: type, contentEncoding: "" });
      await one.write(bytes.subarray(0, cut));
      await one.write(bytes.subarray(cut));
      assert.deepEqual((await one.end()).count, count, `${name} ${cut}`);
    }
  }
});

Deno.test("AnswerTap decodes every content coding, byte by byte", async () => {
  for (const [coding, encode] of CODINGS) {
    for (const [name, type, body, count] of SAMPLES) {
      const bytes = encode(encoder.encode(body));
      assert.deepEqual(await tap(bytes, { type, coding }), { count }, `${coding} ${name}`);
      assert.deepEqual(await tap(bytes, { type, coding, piece: 1 }), { count }, coding);
    }
  }
});

Deno.test("AnswerTap keeps what it has counted of an answer that breaks off", async () => {
  const [, type = "", body = ""] = SAMPLES[1] ?? [];
  const cut = body.slice(0, body.indexOf("content_block_delta"));
  const { count } = await tap(encoder.encode(cut), { type });
  assert.deepEqual([count.input, count.output, count.cacheRead], [25, 1, 3]);
  const flushed = zlib.gzipSync(encoder.encode(body)).subarray(0, -4);
  assert.equal((await tap(flushed, { type, coding: "gzip" })).count.output, 15);
});

Deno.test("AnswerTap says what it cannot count, and never fails", async () => {
  const bytes = encoder.encode(SAMPLES[0]?.[2] ?? "");
  const uncounted = async (...options: Parameters<typeof tap>) => (await tap(...options)).uncounted;
  assert.equal(await uncounted(bytes, { type: "audio/mpeg" }), "type");
  assert.equal(await uncounted(bytes, { type: "" }), "type");
  assert.equal(await uncounted(bytes, { coding: "gzip, br" }), "encoding");
  assert.equal(await uncounted(bytes, { coding: "gzip" }), "damaged");
  assert.equal(await uncounted(bytes, { coding: "br" }), "damaged");
  assert.equal(await uncounted(bytes, { coding: "zstd" }), "damaged");
  assert.equal(await uncounted(new Uint8Array(), { coding: "gzip" }), undefined);
  const silent = encoder.encode(events({ model: "gpt-4o", choices: [{ delta: {} }] }));
  assert.equal(await uncounted(silent, { type: "text/event-stream" }), "no_usage");
  assert.equal(await uncounted(encoder.encode('{"data":[]}')), undefined);
});

Deno.test("AnswerTap ends the scan of an answer that grows without end", async () => {
  const bomb = zlib.brotliCompressSync(new Uint8Array(80 * 1024 * 1024).fill(0x20), {
    params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 0 },
  });
  assert(bomb.length < 1024 * 1024);
  assert.equal((await tap(bomb, { coding: "br", piece: 4_096 })).uncounted, "too_long");
});
