/**
 * The tokens of an answer, read from the fields in which the providers report them.
 *
 * The fields tell the form, not the provider: many offer the API of another.
 *
 * @module
 */
import type { Fields } from "@lib/features/llm_proxy/json_fields.ts";

/** Tokens by how they are charged; each counts once. */
export interface Tokens {
  /** Without those of the cache. */
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
}

/** The model and the tokens of an answer, as far as it tells. */
export interface Count extends Tokens {
  /** Empty: not told. */
  readonly model: string;
}

/** Nothing so far. */
export const NOTHING: Count = { model: "", input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };

/** The fields that {@linkcode counted} reads. */
export const COUNTED_FIELDS: ReadonlySet<string> = new Set([
  "model",
  "modelVersion",
  "usage",
  "usageMetadata",
  "meta",
  "prompt_eval_count",
  "eval_count",
  // Events: of Anthropic, of OpenAI's responses and Cohere's first API, of Cohere's second, of Groq.
  "message.model",
  "message.usage",
  "response.model",
  "response.usage",
  "response.meta",
  "delta.usage",
  "x_groq.usage",
]);

/** Longest name of a model that is kept. */
const MAX_MODEL = 120;

/**
 * Adds what a document, or an event, tells.
 *
 * The events of a stream report sums, not differences: the largest number counts.
 */
export function counted(before: Count, fields: Fields): Count {
  const model = ["model", "modelVersion", "message.model", "response.model"]
    .map((path) => fields.get(path))
    .find((value): value is string => typeof value === "string" && value !== "");
  const all = [before, ...tokensOf(fields)];
  const largest = (name: keyof Tokens) => Math.max(...all.map((tokens) => tokens[name]));
  return {
    model: model === undefined ? before.model : shownModel(model),
    input: largest("input"),
    output: largest("output"),
    cacheRead: largest("cacheRead"),
    cacheWrite: largest("cacheWrite"),
  };
}

/** Returns true if no token was reported. */
export function isNothing({ input, output, cacheRead, cacheWrite }: Tokens): boolean {
  return input + output + cacheRead + cacheWrite === 0;
}

/** The name goes into tables, logs and a terminal. */
function shownModel(model: string): string {
  return model.replace(/[^\x21-\x7e]/g, "_").slice(0, MAX_MODEL);
}

function tokensOf(fields: Fields): readonly Tokens[] {
  const usages = ["usage", "message.usage", "response.usage", "delta.usage", "x_groq.usage"];
  return [
    ...usages.flatMap((path) => usageTokens(recordOf(fields.get(path)))),
    ...["meta", "response.meta"].flatMap((path) => billedTokens(recordOf(fields.get(path)))),
    ...geminiTokens(recordOf(fields.get("usageMetadata"))),
    {
      ...NOTHING,
      input: numberOf(fields.get("prompt_eval_count")),
      output: numberOf(fields.get("eval_count")),
    },
  ];
}

type Json = Readonly<Record<string, unknown>>;

function usageTokens(usage: Json | undefined): readonly Tokens[] {
  if (usage === undefined) return [];
  if (recordOf(usage["billed_units"]) !== undefined) return billedTokens(usage);
  if ("prompt_tokens" in usage) {
    const input = numberOf(usage["prompt_tokens"]);
    const cacheRead = cachedOf(usage["prompt_tokens_details"]);
    const output = numberOf(usage["completion_tokens"]);
    // Some providers leave the tokens of reasoning out of those of the completion.
    const rest = numberOf(usage["total_tokens"]) - input;
    return [{ ...withoutCache(input, cacheRead), output: Math.max(output, rest), cacheWrite: 0 }];
  }
  const input = numberOf(usage["input_tokens"]);
  const output = numberOf(usage["output_tokens"]);
  if ("input_tokens_details" in usage) {
    const cacheRead = cachedOf(usage["input_tokens_details"]);
    return [{ ...withoutCache(input, cacheRead), output, cacheWrite: 0 }];
  }
  return [{
    input,
    output,
    cacheRead: numberOf(usage["cache_read_input_tokens"]),
    cacheWrite: numberOf(usage["cache_creation_input_tokens"]),
  }];
}

function billedTokens(meta: Json | undefined): readonly Tokens[] {
  const billed = recordOf(meta?.["billed_units"]);
  return billed === undefined ? [] : [{
    ...NOTHING,
    input: numberOf(billed["input_tokens"]),
    output: numberOf(billed["output_tokens"]),
  }];
}

function geminiTokens(usage: Json | undefined): readonly Tokens[] {
  if (usage === undefined) return [];
  const input = numberOf(usage["promptTokenCount"]) + numberOf(usage["toolUsePromptTokenCount"]);
  const output = numberOf(usage["candidatesTokenCount"]) + numberOf(usage["thoughtsTokenCount"]);
  const cacheRead = numberOf(usage["cachedContentTokenCount"]);
  return [{ ...withoutCache(input, cacheRead), output, cacheWrite: 0 }];
}

/** Splits a sum that contains the tokens of the cache. */
function withoutCache(sum: number, cacheRead: number) {
  return { input: Math.max(0, sum - cacheRead), cacheRead };
}

function cachedOf(details: unknown): number {
  return numberOf(recordOf(details)?.["cached_tokens"]);
}

function recordOf(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : undefined;
}

/** A count that no provider reports is none. */
function numberOf(value: unknown): number {
  return typeof value === "number" && value > 0 && value < 1e12 ? Math.round(value) : 0;
}
