/**
 * The faults of the console link: how a try ended, and when the next one follows.
 *
 * @module
 */
import { messageOf } from "@lib/core/errors.ts";
import type { ConsoleState } from "@lib/features/console/states.ts";
import type { Pace } from "@lib/features/console/backoff.ts";
import type { SocketEnd } from "@lib/foundations/http/message_socket.ts";

/** Why there is no link, and when to try again. */
export interface Fault {
  readonly state: ConsoleState;
  /** One sentence without a final period; holds no secret. */
  readonly detail: string;
  readonly pace: Pace;
  /** The delay that the console asked for, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** A failure that passes by itself. */
const SOON: Pace = { firstMs: 1_000, maxMs: 60_000 };
/** A failure that somebody must fix, on either side. */
const SLOWLY: Pace = { firstMs: 30_000, maxMs: 600_000 };
/** The longest that a console may ask to wait. */
const MAX_RETRY_AFTER_MS = 3_600_000;
const MAX_DETAIL = 300;

/** Returns the fault of a try that this side could not go on with, such as for a damaged disk. */
export function faultOfOwn(error: unknown): Fault {
  return { state: "failed", detail: shorten(messageOf(error)), pace: SOON };
}

/** An answer of the console, or why there is none. */
export type HttpOutcome =
  | {
    readonly kind: "answer";
    readonly status: number;
    /** The answer's JSON; `undefined` if it has none. */
    readonly body: unknown;
    readonly retryAfter: string | undefined;
  }
  | { readonly kind: "unreachable"; readonly reason: string };

/** Returns the fault of an answer; `undefined` for a good one. */
export function faultOfAnswer(outcome: HttpOutcome, now: number): Fault | undefined {
  if (outcome.kind === "unreachable") {
    return { state: "unreachable", detail: outcome.reason, pace: SOON };
  }
  const { status, body } = outcome;
  const said = saidIn(body);
  const detail = (what: string) => shorten(said === "" ? what : `${what}: ${said}`);
  if (status >= 200 && status < 300) {
    if (body !== undefined) return undefined;
    return {
      state: "not_a_console",
      detail: `The answer (${status}) is not JSON; is the address that of the console?`,
      pace: SLOWLY,
    };
  }
  if (status === 401 || status === 403) {
    return {
      state: "unauthorized",
      detail: detail(`The console refuses the key (${status})`),
      pace: SLOWLY,
    };
  }
  if (status === 404) {
    return {
      state: "not_found",
      detail: detail("The console has no such address (404)"),
      pace: SLOWLY,
    };
  }
  if (status === 429) {
    const retryAfterMs = retryAfterOf(outcome.retryAfter, now);
    return {
      state: "rate_limited",
      detail: detail("The console gets too many requests (429)"),
      pace: { firstMs: 10_000, maxMs: 120_000 },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
  }
  if (status >= 500) {
    return { state: "console_error", detail: detail(`The console failed (${status})`), pace: SOON };
  }
  if (status >= 300 && status < 400) {
    return {
      state: "not_a_console",
      detail: `The address leads elsewhere (${status}); give the final one`,
      pace: SLOWLY,
    };
  }
  return {
    state: "refused",
    detail: detail(`The console refuses the request (${status})`),
    pace: SLOWLY,
  };
}

/** How a connection went, as far as it concerns what follows. */
export interface SessionFacts {
  readonly end: SocketEnd;
  /** Set if a heartbeat was acknowledged. */
  readonly wasGood: boolean;
  /** Set if it was open once. */
  readonly wasOpen: boolean;
  /** Set if this side ended it, because of that. */
  readonly cause: "silent" | "garbled" | "renewing" | undefined;
}

/** Returns the fault of a connection that has ended. */
export function faultOfSession({ end, wasGood, cause }: SessionFacts, now: number): Fault {
  if (cause === "silent") {
    return { state: "silent", detail: "The console did not acknowledge a heartbeat", pace: SOON };
  }
  if (cause === "garbled") {
    return { state: "garbled", detail: "The console sent too many unusable frames", pace: SLOWLY };
  }
  if (cause === "renewing") {
    return { state: "renewing", detail: "Connects anew, as the last link broke", pace: AT_ONCE };
  }
  switch (end.kind) {
    case "unreachable":
      return { state: "unreachable", detail: shorten(end.reason), pace: SOON };
    case "refused":
      return faultOfAnswer({ ...end, kind: "answer", body: undefined }, now) ?? {
        state: "not_a_console",
        detail: `The answer (${end.status}) does not open a WebSocket`,
        pace: SLOWLY,
      };
    case "too_large":
      return {
        state: "oversized",
        detail: "The console sent a frame over the limit",
        pace: SLOWLY,
      };
    case "invalid":
      return {
        state: "garbled",
        detail: shorten(`The console broke the protocol: ${end.reason}`),
        pace: SLOWLY,
      };
    case "broken":
      return wasGood
        ? { state: "dropped", detail: "The connection broke", pace: SOON }
        : { state: "closed_at_once", detail: "The connection broke at once", pace: SOON };
    case "closed":
      return faultOfClose(end, wasGood);
  }
}

function faultOfClose(
  { code, reason }: { readonly code: number; readonly reason: string },
  wasGood: boolean,
): Fault {
  const said = shorten(reason === "" ? `code ${code}` : `code ${code}, "${reason}"`);
  if (code === 1008) {
    return /instance/i.test(reason)
      ? {
        state: "unknown_instance",
        detail: `The console does not know the instance: ${said}`,
        pace: SLOWLY,
      }
      : { state: "unauthorized", detail: `The console refuses the key: ${said}`, pace: SLOWLY };
  }
  if (code === 1001 && /replaced/i.test(reason)) {
    return {
      state: "replaced",
      detail: "Another agent connected with the same instance id",
      pace: SLOWLY,
    };
  }
  if (code === 1009) {
    return {
      state: "oversized",
      detail: `The console refuses the size of a frame: ${said}`,
      pace: SOON,
    };
  }
  return wasGood
    ? { state: "dropped", detail: `The console closed the link: ${said}`, pace: SOON }
    : {
      state: "closed_at_once",
      detail: `The console closed the link at once: ${said}`,
      pace: SOON,
    };
}

/** Returns the delay that a `Retry-After` asks for: seconds, or a date. */
function retryAfterOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text.trim()) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS);
}

/** Returns what the console says about its refusal. */
function saidIn(body: unknown): string {
  if (typeof body !== "object" || body === null) return "";
  const texts = ["error", "message", "details"].flatMap((name) => {
    const value: unknown = Reflect.get(body, name);
    if (typeof value === "string") return [value];
    return typeof value === "object" && value !== null ? [JSON.stringify(value)] : [];
  });
  return [...new Set(texts)].join(", ");
}

/** Shortens a text of the console to one line. */
export function shorten(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();
  return line.length > MAX_DETAIL ? `${line.slice(0, MAX_DETAIL)}…` : line;
}

const AT_ONCE: Pace = { firstMs: 0, maxMs: 0 };
