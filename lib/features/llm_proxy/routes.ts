/**
 * The route of the usage of language models.
 *
 * @module
 */
import { type AnyRoute, route, wholeNumber } from "@lib/api/route.ts";
import { projectsOf } from "@lib/core/caller.ts";
import type { Clock } from "@lib/core/clock.ts";
import { usageSchema } from "@lib/features/llm_proxy/answers.ts";
import type { UsageRow, UsageStore } from "@lib/features/llm_proxy/usage_store.ts";

/** The parts that the route needs. */
export interface UsageRoutePorts {
  readonly store: () => Promise<Pick<UsageStore, "rows">>;
  readonly clock: Clock;
  readonly proxy: () => ProxyState;
}

/** The proxy at a moment. */
export interface ProxyState {
  readonly state: "off" | "starting" | "listening" | "down";
  readonly address: string | null;
  readonly problem: string | null;
}

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;
/** The most rows of an answer. */
const MAX_ROWS = 5_000;

/** The route of the usage. */
export function usageRoutes({ store, clock, proxy }: UsageRoutePorts): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/llm/usage",
      access: { scope: "read", by: "handler" },
      summary: "Show the tokens and the cost of language models",
      description:
        "What the proxy for language models has counted, by day, provider, model and project. " +
        "A key that is restricted to projects sees theirs. At most 5,000 rows, the newest first.",
      query: { days: wholeNumber({ min: 1, max: 3_650 }) },
      answers: { 200: { description: "The usage", schema: usageSchema } },
      handle: async ({ query: { days = DEFAULT_DAYS }, caller }, reply) => {
        const now = clock.now();
        const { dayOf } = await import("@lib/features/llm_proxy/usage_store.ts");
        const from = dayOf(now - (days - 1) * DAY_MS);
        const found = (await store()).rows(from, MAX_ROWS + 1);
        const projects = projectsOf(caller);
        const seen = found.slice(0, MAX_ROWS).filter(({ project }) =>
          projects === undefined || projects.some((name) => name === project)
        );
        return reply.json(200, {
          proxy: proxy(),
          from,
          to: dayOf(now),
          total: amounts(seen),
          usage: seen.map((row) => ({
            day: row.day,
            provider: row.provider,
            model: row.model,
            project: row.project === "" ? null : row.project,
            ...amounts([row]),
          })),
          truncated: found.length > MAX_ROWS,
        });
      },
    }),
  ];
}

function amounts(rows: readonly UsageRow[]) {
  const sum = (pick: (row: UsageRow) => number) =>
    rows.reduce((total, row) => total + pick(row), 0);
  return {
    requests: sum((row) => row.requests),
    unpriced_requests: sum((row) => row.unpriced),
    input_tokens: sum((row) => row.input),
    output_tokens: sum((row) => row.output),
    cache_read_tokens: sum((row) => row.cacheRead),
    cache_write_tokens: sum((row) => row.cacheWrite),
    // Sums of many small amounts would end in digits that mean nothing.
    cost_usd: Number(sum((row) => row.costUsd).toFixed(6)),
  };
}
