import assert from "node:assert/strict";
import { answerFields, requestFields } from "@lib/features/llm_proxy/header_fields.ts";
import { PROVIDERS } from "@lib/features/llm_proxy/providers.ts";
import { type Bases, targetOf } from "@lib/features/llm_proxy/targets.ts";

function address(url: string, bases: Bases = {}) {
  const found = targetOf(url, { ...PROVIDERS, ...bases });
  return "problem" in found
    ? found.problem
    : `${found.isSecure ? "https" : "http"}://${found.authority}${found.path}`;
}

Deno.test("targetOf() maps a path to the provider's own address", () => {
  assert.equal(
    address("/v1/anthropic/v1/messages?beta=true"),
    "https://api.anthropic.com/v1/messages?beta=true",
  );
  assert.equal(
    address("/v1/google/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:streamGenerateContent" +
      "?alt=sse",
  );
  assert.equal(address("/any/cohere/v2/chat"), "https://api.cohere.com/v2/chat");
  const openai = "https://api.openai.com/v1/chat/completions";
  assert.equal(address("/v1/openai/v1/chat/completions"), openai);
  assert.equal(address("/v1/openai/chat/completions"), openai, "clients whose base ends in /v1");
  const groq = "https://api.groq.com/openai/v1/chat/completions";
  assert.equal(address("/v1/groq/openai/v1/chat/completions"), groq);
  assert.equal(address("/v1/groq/chat/completions"), groq);
  assert.equal(address("/v1/xai/models"), "https://api.x.ai/v1/models");
  assert.equal(address("/v1/together/v1/models"), "https://api.together.xyz/v1/models");
  assert.equal(address("/v1/mistral/v1/models"), "https://api.mistral.ai/v1/models");
});

Deno.test("targetOf() takes a project, an operation, and a configured address", () => {
  const found = targetOf("/v1/projects/web/openai/embeddings", PROVIDERS);
  assert(!("problem" in found));
  assert.deepEqual([found.project, found.operation, found.path], [
    "web",
    "embeddings",
    "/v1/embeddings",
  ]);
  const bases = { ollama: "http://[::1]:11434/gate/", openai: "http://10.0.0.1:8080" };
  assert.equal(address("/v1/ollama/api/chat", bases), "http://[::1]:11434/gate/api/chat");
  assert.equal(address("/v1/openai/v1/models", bases), "http://10.0.0.1:8080/v1/models");
  const ollama = targetOf("/v1/ollama/api/chat", bases);
  assert(!("problem" in ollama));
  assert.deepEqual([ollama.hostname, ollama.port, ollama.operation], ["::1", 11_434, "chat"]);
});

Deno.test("targetOf() leads nowhere else", () => {
  const invalid = "invalid path — expected /v1/{provider}/...";
  for (const url of ["", "/", "/v1", "/v1/", "//", "v1/openai/x"]) {
    assert.equal(address(url), invalid);
  }
  assert.equal(address("/v1/azure/x"), "no address for azure: set llm_proxy.providers.azure");
  assert.equal(address("/v1/evil.example/x"), "unknown provider: evil.example");
  assert.equal(address("/v1/constructor/x"), "unknown provider: constructor");
  assert.equal(address("/v1/projects/NO!/openai/x"), "invalid name of a project in the path");
  for (
    const rest of [
      "../x",
      "a/..",
      "%2e%2E/x",
      "./x",
      "a\\b",
      ".%2e",
      "..%2f..%2fx",
      "a%5C..",
      "a%2F%2e%2e%2fb",
    ]
  ) {
    assert.match(address(`/v1/openai/${rest}`), /^invalid path/, rest);
  }
  for (const rest of ["@evil.example/", "/evil.example/", "http://evil.example/"]) {
    assert.match(address(`/v1/google/${rest}`), /^https:\/\/generativelanguage\.googleapis\.com\//);
  }
});

Deno.test("requestFields() and answerFields() pass on end-to-end fields only", () => {
  const fields = [
    "Host",
    "127.0.0.1:9090",
    "Authorization",
    "Bearer x",
    "Connection",
    "keep-alive, X-Hop",
    "X-Hop",
    "1",
    "Keep-Alive",
    "timeout=5",
    "TE",
    "trailers",
    "Trailer",
    "X",
    "Transfer-Encoding",
    "chunked",
    "Upgrade",
    "h2c",
    "Proxy-Authorization",
    "Basic x",
    "Expect",
    "100-continue",
    "X-Many",
    "1",
    "x-many",
    "2",
    "Content-Length",
    "3",
  ];
  assert.deepEqual(Object.fromEntries(requestFields(fields, "api.example")), {
    "host": ["api.example"],
    "authorization": ["Bearer x"],
    "x-many": ["1", "2"],
    "content-length": ["3"],
  });
  assert.deepEqual(Object.fromEntries(answerFields(["Set-Cookie", "a", "Set-Cookie", "b"])), {
    "set-cookie": ["a", "b"],
  });
});
