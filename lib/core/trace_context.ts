/**
 * Trace contexts (W3C Trace Context), and the ids of our own spans.
 *
 * The ids are made of the job's: whoever knows the job knows them, so nothing has to be stored or sent
 * for the spans of runner, agent and job to meet.
 *
 * @module
 */
import type { JobId } from "@lib/core/ids.ts";

/** A place in a trace. */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  /** Its spans are recorded. */
  readonly isSampled: boolean;
}

/** The text of a context, version 00 or a later one that begins alike; ids of zeros mean none. */
export const TRACEPARENT = /^(?:[0-9a-e][0-9a-f]|f[0-9a-e])-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Parses a `traceparent`; `undefined` if it is none. */
export function parseTraceparent(text: string): TraceContext | undefined {
  if (!TRACEPARENT.test(text)) return undefined;
  const [, traceId = "", spanId = "", flags = ""] = text.split("-");
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The spans of a job; those other than `job` are of an attempt. */
export type SpanName = "job" | "queued" | "attempt" | "claimed" | "setup" | "run" | "settle";

/** Returns the trace of a job: that of its caller, or one of its own. */
export function traceOf(jobId: JobId, traceparent: string | undefined): string {
  const given = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  return given?.traceId ?? jobId.replaceAll("-", "");
}

/** Returns the id of a span. */
export function spanIdOf(jobId: JobId, attempt: number, name: SpanName): string {
  // FNV-1a with 64 bits: the ids need not be secret, only different.
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(`${jobId}/${attempt}/${name}`)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return (hash === 0n ? 1n : hash).toString(16).padStart(16, "0");
}

/**
 * Returns the context that a job gets as `TRACEPARENT`; `undefined` if it gets none.
 *
 * @param isTracing The runner exports spans: the job's are below that of its run.
 */
export function jobTraceparent(
  { jobId, number }: { readonly jobId: JobId; readonly number: number },
  traceparent: string | undefined,
  isTracing: boolean,
): string | undefined {
  const isLeftOut = traceparent !== undefined && parseTraceparent(traceparent)?.isSampled === false;
  if (!isTracing || isLeftOut) return traceparent;
  return `00-${traceOf(jobId, traceparent)}-${spanIdOf(jobId, number, "run")}-01`;
}
