/**
 * The answer about the usage of language models.
 *
 * @module
 */
import * as v from "valibot";
import { count } from "@lib/api/answers.ts";

const usageEntries = {
  requests: v.pipe(count, v.description("Answers that were counted")),
  unpriced_requests: v.pipe(count, v.description("Those of a model whose price is unknown")),
  input_tokens: v.pipe(
    count,
    v.description("Without what came from the provider's cache, or was written to it"),
  ),
  output_tokens: count,
  cache_read_tokens: count,
  cache_write_tokens: count,
  cost_usd: v.pipe(
    v.number(),
    v.minValue(0),
    v.description("By the table of prices, where a price is known"),
  ),
};

const day = v.pipe(v.string(), v.isoDate(), v.description("In UTC"));

/** The usage of some days. */
export const usageSchema = v.object({
  proxy: v.object({
    state: v.picklist(["off", "starting", "listening", "down"]),
    address: v.pipe(v.nullable(v.string()), v.description("As configured; null: it is off")),
    problem: v.pipe(v.nullable(v.string()), v.description("Why it is down, or off")),
  }),
  from: day,
  to: day,
  total: v.object(usageEntries),
  usage: v.pipe(
    v.array(v.object({
      day,
      provider: v.string(),
      model: v.pipe(v.string(), v.description("Empty: the answers did not name it")),
      project: v.pipe(v.nullable(v.string()), v.description("null: none was named")),
      ...usageEntries,
    })),
    v.description("The newest day first"),
  ),
  truncated: v.pipe(v.boolean(), v.description("There is more; ask for fewer days")),
});
