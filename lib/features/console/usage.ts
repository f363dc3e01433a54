/**
 * Usage of language models in the console's words.
 *
 * @module
 */
import type { UsageRecord, UsageSource } from "@lib/api/usage_source.ts";
import type { Message } from "@lib/features/console/outbox.ts";

/** The most records of one batch. */
const MAX_BATCH = 200;

/**
 * Makes the next batch; `undefined` if nothing waits. Its records are marked once it is settled; those
 * that cannot be marked are sent again over the next connection.
 */
export function nextUsageBatch(
  source: UsageSource,
  underWay: Set<number>,
  at: number,
  onFailure: (error: unknown) => void,
): Message | undefined {
  const records = source.unsent(MAX_BATCH + underWay.size)
    .filter(({ id }) => !underWay.has(id))
    .slice(0, MAX_BATCH);
  if (records.length === 0) return undefined;
  const ids = records.map(({ id }) => id);
  for (const id of ids) underWay.add(id);
  return {
    type: "llm_usage:batch",
    payload: { records: records.map(usageEntry) },
    at,
    onSettled() {
      try {
        source.markSent(ids);
      } catch (error) {
        return onFailure(error);
      }
      for (const id of ids) underWay.delete(id);
    },
  };
}

/** A bad record would make the console lose its whole batch. */
function usageEntry(record: UsageRecord) {
  const { provider, model, operation, captureTier, costUsd, ts } = record;
  const cacheReadTokens = count(record.cacheReadTokens);
  const cacheWriteTokens = count(record.cacheWriteTokens);
  return {
    provider,
    model,
    ...(operation === "" ? {} : { operation }),
    inputTokens: count(record.inputTokens),
    outputTokens: count(record.outputTokens),
    ...(cacheReadTokens === 0 ? {} : { cacheReadTokens }),
    ...(cacheWriteTokens === 0 ? {} : { cacheWriteTokens }),
    costUsd: Number.isFinite(costUsd) && costUsd > 0 ? costUsd : 0,
    captureTier,
    ts: count(ts),
  };
}

function count(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.round(value)) : 0;
}
