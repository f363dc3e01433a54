/**
 * Pulls jobs from a main API, for agents that it cannot reach.
 *
 * All state is in the database: a job is stored with its deliveries before the
 * next one is claimed, the outbox delivers its result, and the leases to renew
 * are read from there. So these loops may stop and start at any time.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { JobId } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { PulledFrom } from "@lib/features/gryt/gryt_jobs.ts";
import type { LeasedEntry } from "@lib/features/gryt/ledger.ts";
import type { OutgoingResult, SendRequest } from "@lib/features/gryt/outgoing.ts";
import { type GrytRequest, parseGrytRequest } from "@lib/features/gryt/request.ts";
import type { GrytSettings } from "@lib/features/gryt/settings.ts";

/** Ports of {@linkcode pullJobs} and {@linkcode keepLeases}. */
export interface PullOptions {
  readonly settings: () => GrytSettings;
  /** This agent's name at the main API. */
  readonly agent: string;
  /** Counts the jobs that could start now. */
  readonly room: () => Promise<number>;
  /**
   * Stores a job; the same job again is accepted and runs once.
   *
   * @returns The result of a job that cannot start; else `undefined`, and the outbox delivers it.
   * @throws {CicdError} If it cannot be stored now; its lease expires, and the main API reassigns it.
   */
  readonly accept: (request: GrytRequest, pulled: PulledFrom) => object | undefined;
  readonly leased: () => readonly LeasedEntry[];
  /** Cancels a job that the main API has taken back. */
  readonly cancel: (jobId: JobId) => void;
  readonly send: SendRequest;
  readonly clock: Clock;
  readonly log: Logger;
}

/** For how long the main API may hold a claim until there is a job. */
const CLAIM_TIMEOUT_MS = 90_000;
const CALL_TIMEOUT_MS = 15_000;
/** Between two claims that are answered at once without a job. */
const EMPTY_WAIT_MS = 1_000;
const NO_ROOM_WAIT_MS = 1_000;
const MAX_WAIT_MS = 60_000;
const MAX_BODY_BYTES = 16 * 1024 * 1024;
const DEFAULT_LEASE_S = 60;
const MIN_LEASE_S = 3;
const MAX_LEASE_S = 86_400;
/** Tries to deliver the result of a job that cannot start; after them its lease expires. */
const RESULT_TRIES = 3;

/** Claims jobs until `signal` aborts. */
export async function pullJobs(options: PullOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = options;
  const backoff = new Backoff({ firstMs: 1_000, maxMs: MAX_WAIT_MS });
  let problem = "";
  while (!signal.aborted) {
    try {
      const outcome = await claimOne(options, signal);
      if (outcome.kind === "problem") {
        if (outcome.why !== problem) {
          log.warning("Cannot get jobs from the main API; trying again", { why: outcome.why });
        }
        problem = outcome.why;
        await clock.sleep(backoff.next(), { signal });
      } else {
        if (problem !== "") log.info("The main API provides jobs again");
        problem = "";
        backoff.reset();
        if (outcome.waitMs > 0) await clock.sleep(outcome.waitMs, { signal });
      }
    } catch (error) {
      if (signal.aborted) return;
      log.error("Cannot accept a job of the main API; trying again", { error });
      await clock.sleep(backoff.next(), { signal });
    }
  }
}

type ClaimOutcome =
  | { readonly kind: "proceed"; readonly waitMs: number }
  | { readonly kind: "problem"; readonly why: string };

async function claimOne(options: PullOptions, signal: AbortSignal): Promise<ClaimOutcome> {
  const capacity = await options.room();
  if (capacity <= 0) return { kind: "proceed", waitMs: NO_ROOM_WAIT_MS };
  const { pullUrl } = options.settings();
  if (pullUrl === undefined) return { kind: "proceed", waitMs: MAX_WAIT_MS };
  const askedAt = options.clock.now();
  const result = await call(options, `${pullUrl}/agents/claim`, {
    body: { agent: options.agent, capacity },
    timeoutMs: CLAIM_TIMEOUT_MS,
    maxAnswerBytes: MAX_BODY_BYTES,
    signal,
  });
  if (result.kind !== "answered") return { kind: "problem", why: result.why };
  if (result.status === 204) {
    const waitedMs = options.clock.now() - askedAt;
    return { kind: "proceed", waitMs: Math.max(0, EMPTY_WAIT_MS - waitedMs) };
  }
  if (result.status !== 200) return { kind: "problem", why: `the answer was ${result.status}` };
  const job = parseJson(result.body);
  const parsed = parseGrytRequest(job);
  if (parsed.kind === "invalid") {
    const places = parsed.detail.map(({ loc }) => loc.join(".")).join(", ");
    return { kind: "problem", why: `it sent a job that is invalid: ${places}` };
  }
  const { request } = parsed;
  const resultUrl = `${pullUrl}/jobs/${request.jobId}/result`;
  const body = options.accept(request, { leaseMs: leaseOf(job), resultUrl });
  if (body !== undefined && !await report(options, resultUrl, { body, signal })) {
    // It may send the same job again at once.
    return { kind: "problem", why: "it does not accept the result of a job that cannot start" };
  }
  return { kind: "proceed", waitMs: 0 };
}

/** Keeps the leases of pulled jobs alive until `signal` aborts. */
export async function keepLeases(options: PullOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, leased } = options;
  const renewedAt = new Map<JobId, number>();
  while (!signal.aborted) {
    try {
      const open = leased();
      for (const known of renewedAt.keys()) {
        if (!open.some(({ jobId }) => jobId === known)) renewedAt.delete(known);
      }
      const due = open.filter(({ jobId, leaseMs }) =>
        clock.now() - (renewedAt.get(jobId) ?? -Infinity) >= leaseMs / 3
      );
      for (const one of due) renewedAt.set(one.jobId, clock.now());
      await Promise.all(due.map((one) => renew(options, one, signal)));
    } catch (error) {
      if (signal.aborted) return;
      log.error("Cannot renew the leases of jobs; trying again", { error });
    }
    try {
      await clock.sleep(EMPTY_WAIT_MS, { signal });
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
  }
}

async function renew(
  options: PullOptions,
  { jobId, grytId }: LeasedEntry,
  signal: AbortSignal,
): Promise<void> {
  const { pullUrl } = options.settings();
  if (pullUrl === undefined) return;
  const result = await call(options, `${pullUrl}/jobs/${grytId}/heartbeat`, {
    body: { agent: options.agent },
    signal,
  });
  if (result.kind === "answered" && (result.status === 409 || result.status === 410)) {
    options.log.warning("The main API has taken a job back", { jobId });
    options.cancel(jobId);
  }
}

/** Reports the result of a job that cannot start; returns whether the main API accepted it. */
async function report(options: PullOptions, url: string, message: Call): Promise<boolean> {
  const backoff = new Backoff({ firstMs: 1_000, maxMs: MAX_WAIT_MS });
  for (let tries = 1; tries <= RESULT_TRIES; tries++) {
    const result = await call(options, url, message);
    if (result.kind === "answered" && result.status < 500) return result.status < 300;
    await options.clock.sleep(backoff.next(), { signal: message.signal });
  }
  return false;
}

interface Call {
  readonly body: object;
  readonly timeoutMs?: number;
  readonly maxAnswerBytes?: number;
  readonly signal: AbortSignal;
}

function call(options: PullOptions, url: string, { body, ...rest }: Call): Promise<OutgoingResult> {
  const { apiKey } = options.settings();
  return options.send({
    url: new URL(url),
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(apiKey === undefined ? {} : { "x-api-key": apiKey.expose() }),
    },
    body: new TextEncoder().encode(JSON.stringify(body)),
    timeoutMs: CALL_TIMEOUT_MS,
    maxAnswerBytes: 0,
    ...rest,
  });
}

function leaseOf(job: unknown): number {
  const lease = typeof job === "object" && job !== null && "lease_seconds" in job
    ? job.lease_seconds
    : undefined;
  const seconds = typeof lease === "number" && Number.isFinite(lease) ? lease : DEFAULT_LEASE_S;
  return Math.round(Math.min(MAX_LEASE_S, Math.max(MIN_LEASE_S, seconds)) * 1_000);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    // The engine's message quotes the text, which may hold secrets.
    return undefined;
  }
}
