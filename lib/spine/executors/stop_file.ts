/**
 * The file that says why an attempt is being stopped, so that whoever settles
 * the attempt, now or after a crash, knows whose wish its end was.
 *
 * @module
 */
import type { StopRequest } from "@lib/spine/jobs/executor.ts";

/** More than this is no stop file. */
export const STOP_MAX_BYTES = 16 * 1024;

/** Writes a stop request as text; the time of the request is the file's own. */
export function formatStop({ reason, by }: StopRequest): string {
  return JSON.stringify({ reason, by }) + "\n";
}

/**
 * Reads a stop request.
 *
 * The file's existence is the request: a text that cannot be read still counts
 * as a cancel, by someone unknown.
 */
export function parseStop(text: string): StopRequest {
  if (text.length > STOP_MAX_BYTES) return UNREADABLE;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return UNREADABLE;
    throw error;
  }
  if (typeof value !== "object" || value === null || !("reason" in value)) return UNREADABLE;
  const by = "by" in value && typeof value.by === "string" ? value.by : UNREADABLE.by;
  switch (value.reason) {
    case "cancelled":
    case "superseded":
    case "timeout":
      return { reason: value.reason, by };
    default:
      return UNREADABLE;
  }
}

const UNREADABLE: StopRequest = { reason: "cancelled", by: "by an unreadable request" };
