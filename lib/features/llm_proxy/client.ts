/**
 * Requests about the usage of language models.
 *
 * @module
 */
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { usageSchema } from "@lib/features/llm_proxy/answers.ts";

/** The usage of some days. */
export type UsageAnswer = ReadingOf<typeof usageSchema>;

const readUsage = reading(usageSchema, "the usage");

/** Returns the usage of the last days; throws what {@linkcode RunnerTransport.json} throws. */
export function showUsage(
  runner: RunnerTransport,
  { days, signal }: { readonly days: number; readonly signal: AbortSignal },
): Promise<UsageAnswer> {
  return runner.ask(readUsage, { path: `/v1/llm/usage?days=${days}`, signal });
}
