import assert from "node:assert/strict";
import { defaultPrices } from "@lib/features/llm_proxy/default_prices.ts";
import { costOf, PriceTable } from "@lib/features/llm_proxy/prices.ts";
import { NOTHING } from "@lib/features/llm_proxy/token_count.ts";

const MILLION = 1_000_000;

function cost(provider: string, model: string, tokens: Partial<typeof NOTHING>) {
  const price = new PriceTable(defaultPrices()).find(provider, model);
  return price === undefined ? undefined : costOf(price, { ...NOTHING, ...tokens });
}

Deno.test("the shipped prices are those of the providers' models, by exact name or longest beginning", () => {
  assert.equal(cost("anthropic", "claude-sonnet-4", { input: MILLION, output: MILLION }), 18);
  assert.equal(cost("anthropic", "claude-sonnet-4-20250514", { input: MILLION }), 3);
  assert.equal(cost("anthropic", "claude-opus-4-20250514", { input: MILLION }), 15);
  assert.equal(cost("Anthropic", "Claude-Opus-4-5-20251101", { input: MILLION }), 5);
  assert.equal(cost("openai", "gpt-4o-mini-2024-07-18", { output: MILLION }), 0.6);
  assert.equal(cost("openai", "gpt-4o-2024-08-06", { output: MILLION }), 10);
  assert.equal(cost("ollama", "anything", { input: MILLION, output: MILLION }), 0);
  assert.equal(cost("anthropic", "claude-sonnet-4", {}), 0);
  assert.equal(cost("unknown", "gpt-4o", { input: 1 }), undefined);
  assert.equal(cost("openai", "", { input: 1 }), undefined);
  const providers = new Set(defaultPrices().map(({ provider }) => provider));
  for (const each of ["anthropic", "openai", "google", "groq", "mistral", "xai", "ollama"]) {
    assert(providers.has(each), each);
  }
});

Deno.test("costOf() charges the cache by its own price, else as input", () => {
  const tokens = { ...NOTHING, cacheRead: MILLION, cacheWrite: MILLION };
  const plain = { provider: "a", model: "b", inputPerMillion: 2, outputPerMillion: 5 };
  assert.equal(costOf(plain, tokens), 4);
  assert.equal(costOf({ ...plain, cacheReadPerMillion: 0, cacheWritePerMillion: 3 }, tokens), 3);
});

Deno.test("PriceTable prefers the first of two rows, an exact one to a longer beginning, and * least", () => {
  const row = (model: string, inputPerMillion: number) => ({
    provider: "p",
    model,
    inputPerMillion,
    outputPerMillion: 0,
  });
  const table = new PriceTable([
    row("*", 1),
    row("m", 2),
    row("m-large", 3),
    row("m", 4),
    row("m-large-2", 5),
  ]);
  const found = (model: string) => table.find("p", model)?.inputPerMillion;
  assert.deepEqual(
    ["x", "m", "m-1", "m-large", "m-large-1", "m-large-2x", "m-large-2:x", "m.1"].map(found),
    [
      1,
      2,
      2,
      3,
      3,
      3,
      5,
      1,
    ],
  );
});
