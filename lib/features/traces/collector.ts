/**
 * Requests to the collector.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { type Env, headersIn, tracesUrl } from "@lib/features/traces/collector_variables.ts";
import type { Deliver, Delivery } from "@lib/features/traces/span_exporter.ts";

const TIMEOUT_MS = 10_000;

/** Statuses after which OTLP allows another try. */
const PASSING = [429, 502, 503, 504];

/** Makes what sends to a collector. @param address Read at each request. */
export function deliverTo(address: () => string | undefined, env: Env): Deliver {
  return async (body, signal) => {
    const url = address();
    if (url === undefined) return "refused";
    using deadline = withDeadline(signal, TIMEOUT_MS, "the collector of traces");
    try {
      const response = await fetch(tracesUrl(url), {
        method: "POST",
        headers: { ...headersIn(env), "content-type": "application/json" },
        body,
        // A redirect could send the headers, which may be secret, elsewhere.
        redirect: "manual",
        signal: deadline,
      });
      await response.body?.cancel();
      return outcomeOf(response.status);
    } catch (error) {
      signal.throwIfAborted();
      // Refused, reset, or too late: fetch has an error for each.
      if (error instanceof Error) return "later";
      throw error;
    }
  };
}

function outcomeOf(status: number): Delivery {
  if (status >= 200 && status < 300) return "delivered";
  return PASSING.includes(status) ? "later" : "refused";
}
