/**
 * `usage`: shows the tokens and the cost of language models.
 *
 * @module
 */
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine, type Painter } from "@lib/api/client/format.ts";
import { showUsage, type UsageAnswer } from "@lib/features/llm_proxy/client.ts";
import type { Price } from "@lib/features/llm_proxy/prices.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

type Amounts = UsageAnswer["total"];

/** Runs `usage`. */
export async function runUsage(
  { days, prices }: { readonly days: number; readonly prices: boolean },
  { out, flags, paint, connect, signal }: CliContext,
): Promise<number> {
  if (prices) {
    const { defaultPrices } = await import("@lib/features/llm_proxy/default_prices.ts");
    const known = defaultPrices();
    if (flags.json) await out.json({ prices: known });
    else for (const line of await renderPrices(known, paint)) await out.line(line);
    return 0;
  }
  using runner = await connect();
  const found = await showUsage(runner, { days, signal });
  if (flags.json) {
    await out.json(found);
    return 0;
  }
  const { state, problem } = found.proxy;
  if (state === "down") out.note(`the proxy is down: ${oneLine(problem ?? "")}`);
  if (state === "off") {
    out.note(`the proxy is off: ${oneLine(problem ?? "llm_proxy.listen turns it on")}`);
  }
  if (found.usage.length === 0) {
    out.note(`no usage of language models was counted since ${found.from}`);
    return 0;
  }
  const byModel = [
    ...Map.groupBy(found.usage, ({ provider, model, project }) => {
      return `${provider}\n${model}\n${project ?? ""}`;
    }).values(),
  ].map((rows) => ({ rows, amounts: rows.reduce<Amounts>(add, NOTHING) }))
    .sort((one, other) => other.amounts.cost_usd - one.amounts.cost_usd);
  const lines = await renderTable({
    columns: [
      { title: "PROVIDER" },
      { title: "MODEL" },
      { title: "PROJECT" },
      ...["REQUESTS", "INPUT", "OUTPUT", "CACHED", "USD"].map((title) => ({
        title,
        align: "right" as const,
      })),
    ],
    rows: [
      ...byModel.map(({ rows: [first], amounts }) => [
        oneLine(first?.provider ?? ""),
        oneLine(first?.model ?? "") || "-",
        oneLine(first?.project ?? "") || "-",
        ...cells(amounts),
      ]),
      ["total", "", "", ...cells(found.total)],
    ],
    paintTitle: (title) => paint("faint", title),
  });
  for (const line of lines) await out.line(line);
  if (found.truncated) out.note("there is more; ask for fewer days");
  return 0;
}

/** Renders prices in US dollars for a million tokens, a model a line. */
function renderPrices(prices: readonly Price[], paint: Painter) {
  const price = (usd: number | undefined) => usd === undefined ? "-" : String(usd);
  return renderTable({
    columns: [
      { title: "PROVIDER" },
      { title: "MODEL" },
      ...["INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE"].map((title) => ({
        title,
        align: "right" as const,
      })),
    ],
    rows: prices.map((each) => [
      each.provider,
      each.model,
      price(each.inputPerMillion),
      price(each.outputPerMillion),
      price(each.cacheReadPerMillion),
      price(each.cacheWritePerMillion),
    ]),
    paintTitle: (title) => paint("faint", title),
  });
}

const NOTHING: Amounts = {
  requests: 0,
  unpriced_requests: 0,
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  cost_usd: 0,
};

function add(one: Amounts, other: Amounts): Amounts {
  return {
    requests: one.requests + other.requests,
    unpriced_requests: one.unpriced_requests + other.unpriced_requests,
    input_tokens: one.input_tokens + other.input_tokens,
    output_tokens: one.output_tokens + other.output_tokens,
    cache_read_tokens: one.cache_read_tokens + other.cache_read_tokens,
    cache_write_tokens: one.cache_write_tokens + other.cache_write_tokens,
    cost_usd: one.cost_usd + other.cost_usd,
  };
}

function cells(amounts: Amounts): readonly string[] {
  const cached = amounts.cache_read_tokens + amounts.cache_write_tokens;
  const isUnknown = amounts.unpriced_requests === amounts.requests;
  return [
    ...[amounts.requests, amounts.input_tokens, amounts.output_tokens, cached].map(String),
    isUnknown
      ? "unknown"
      : `${amounts.unpriced_requests > 0 ? ">" : ""}${amounts.cost_usd.toFixed(4)}`,
  ];
}
