/**
 * The port of counted usage of language models: what one feature counts, another delivers.
 *
 * @module
 */

/** The usage of one answer of a language model. */
export interface UsageRecord {
  /** Ascending; of this runner. */
  readonly id: number;
  /** Milliseconds since the epoch. */
  readonly ts: number;
  readonly provider: string;
  /** Empty: the answer did not name it. */
  readonly model: string;
  /** By the path of the request: `chat` or `embeddings`. */
  readonly operation: string;
  /** Without what came from the provider's cache, or was written to it. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  /** 0: no price is known. */
  readonly costUsd: number;
  readonly captureTier: "proxy";
  /** If the client named one. */
  readonly project?: string;
}

/** Usage that is to be delivered once. */
export interface UsageSource {
  /** Returns the oldest records that are not marked as sent, at most `limit`. */
  unsent(limit: number): readonly UsageRecord[];
  /** Marks records as sent; unknown ids are ignored. */
  markSent(ids: readonly number[]): void;
}
