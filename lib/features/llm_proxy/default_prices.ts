/**
 * The prices that a runner knows without a file, in US dollars for a million tokens.
 *
 * Providers change them: `llm_proxy.prices` names a file with others.
 *
 * @module
 */
import type { Price } from "@lib/features/llm_proxy/prices.ts";

/** Model, input, output, read from the cache, written to the cache. */
type Row = readonly [
  model: string,
  input: number,
  output: number,
  cacheRead?: number,
  cacheWrite?: number,
];

const ROWS: Readonly<Record<string, readonly Row[]>> = {
  anthropic: [
    ["claude-opus-4", 15, 75, 1.5, 18.75],
    ["claude-opus-4-5", 5, 25, 0.5, 6.25],
    ["claude-sonnet-4", 3, 15, 0.3, 3.75],
    ["claude-haiku-4", 0.8, 4, 0.08, 1],
    ["claude-haiku-4-5", 1, 5, 0.1, 1.25],
    ["claude-3-7-sonnet", 3, 15, 0.3, 3.75],
    ["claude-3-5-sonnet", 3, 15, 0.3, 3.75],
    ["claude-3-5-haiku", 0.8, 4, 0.08, 1],
    ["claude-3-opus", 15, 75, 1.5, 18.75],
    ["claude-3-haiku", 0.25, 1.25, 0.03, 0.3],
  ],
  openai: [
    ["gpt-4o", 2.5, 10, 1.25],
    ["gpt-4o-mini", 0.15, 0.6, 0.075],
    ["gpt-4.1", 2, 8, 0.5],
    ["gpt-4.1-mini", 0.4, 1.6, 0.1],
    ["gpt-4.1-nano", 0.1, 0.4, 0.025],
    ["gpt-5", 1.25, 10, 0.125],
    ["gpt-5-mini", 0.25, 2, 0.025],
    ["gpt-5-nano", 0.05, 0.4, 0.005],
    ["o3", 10, 40, 2.5],
    ["o3-mini", 1.1, 4.4, 0.55],
    ["o4-mini", 1.1, 4.4, 0.275],
  ],
  google: [
    ["gemini-2.5-pro", 1.25, 10, 0.31],
    ["gemini-2.5-flash", 0.15, 0.6, 0.0375],
    ["gemini-2.0-flash", 0.1, 0.4, 0.025],
  ],
  groq: [
    ["llama-3.3-70b", 0.59, 0.79],
    ["llama-3.1-8b", 0.05, 0.08],
  ],
  mistral: [
    ["mistral-large", 2, 6],
    ["codestral", 0.3, 0.9],
  ],
  xai: [
    ["grok-3", 3, 15],
    ["grok-3-mini", 0.3, 0.5],
  ],
  ollama: [["*", 0, 0]],
};

/** Returns the table. */
export function defaultPrices(): readonly Price[] {
  return Object.entries(ROWS).flatMap(([provider, rows]) =>
    rows.map(([model, inputPerMillion, outputPerMillion, cacheRead, cacheWrite]): Price => ({
      provider,
      model,
      inputPerMillion,
      outputPerMillion,
      ...(cacheRead === undefined ? {} : { cacheReadPerMillion: cacheRead }),
      ...(cacheWrite === undefined ? {} : { cacheWritePerMillion: cacheWrite }),
    }))
  );
}
