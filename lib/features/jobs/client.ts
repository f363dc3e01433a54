/**
 * Requests about single jobs.
 *
 * Each function throws what {@linkcode RunnerTransport.json} throws; `id` is a job's id or the
 * beginning of it.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { parseTraceparent } from "@lib/core/trace_context.ts";
import type { UnixResponse } from "@lib/foundations/http/unix_client.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { hasEnded, type JobAnswer, readJob } from "@lib/api/client/jobs.ts";
import type { Reconnect } from "@lib/api/client/reconnect.ts";
import {
  ConnectionLostError,
  jobPath,
  type QueryFields,
  queryOf,
  type RunnerTransport,
} from "@lib/api/client/transport.ts";

/** The hold of this process on a job. */
export interface Holding {
  /** Cancels the job if this process goes before its end. */
  readonly isHeld?: boolean | undefined;
}

/** A submission. */
interface Submission extends Holding {
  readonly request: unknown;
  readonly key: string;
  /** The trace to go on, unless the request names one; one that is malformed is not sent. */
  readonly traceparent?: string | undefined;
}

/** Submits a job; submitting with the same key again returns the same job. */
export function submitJob(
  runner: RunnerTransport,
  { request, key, isHeld, traceparent = "" }: Submission,
  signal: AbortSignal,
): Promise<JobAnswer> {
  const headers = {
    "idempotency-key": key,
    ...(parseTraceparent(traceparent) === undefined ? {} : { traceparent }),
  };
  const rest = { method: "POST", headers, body: request } as const;
  return asHolder(
    isHeld,
    (query) => runner.ask(readJob, { ...rest, path: `/v1/jobs${queryOf(query)}`, signal }),
  );
}

/** Asks with `on_disconnect=cancel`, or without if the runner's release does not know it. */
async function asHolder<T>(
  isHeld: boolean | undefined,
  ask: (query: QueryFields) => Promise<T>,
): Promise<T> {
  if (isHeld !== true) return await ask({});
  try {
    return await ask({ on_disconnect: "cancel" });
  } catch (error) {
    if (!(error instanceof CicdError) || error.issues[0]?.path !== "query.on_disconnect") {
      throw error;
    }
    return await ask({});
  }
}

/**
 * Submits until there is an answer.
 *
 * `submit` sends the same idempotency key each time, so there is one job however often it arrives.
 *
 * @throws {ConnectionLostError} At once if nothing listened at the first attempt.
 */
export async function submitSafely(
  submit: () => Promise<JobAnswer>,
  reconnect: Reconnect,
): Promise<JobAnswer> {
  try {
    return await submit();
  } catch (error) {
    if (error instanceof ConnectionLostError && !error.isListening) throw error;
    await reconnect.afterFailure(error);
  }
  return await reconnect.run(submit);
}

/** Returns a job with its attempts. */
export function showJob(runner: RunnerTransport, id: string, signal: AbortSignal) {
  return runner.ask(readJob, { path: jobPath(id), signal });
}

/** Cancels a job or runs it again. */
export function changeJob(
  runner: RunnerTransport,
  { id, verb, isHeld, body }: Holding & {
    readonly id: string;
    readonly verb: "cancel" | "retry";
    readonly body?: unknown;
  },
  signal: AbortSignal,
): Promise<JobAnswer> {
  const path = `${jobPath(id)}/${verb}`;
  const sent = { method: "POST", signal, ...(body === undefined ? {} : { body }) } as const;
  return asHolder(
    isHeld,
    (query) => runner.ask(readJob, { ...sent, path: `${path}${queryOf(query)}` }),
  );
}

/** Longest single wait request, in milliseconds. */
const POLL_MS = 60_000;

/** A job to wait for. */
export interface AwaitedJob extends Holding {
  readonly id: string;
  /** When to stop waiting, in milliseconds since the epoch. @default {Infinity} */
  readonly until?: number;
  readonly signal: AbortSignal;
}

/**
 * Waits for a job's end, across restarts of the runner.
 *
 * @returns The ended job, or the job as it is at `until`.
 */
export async function waitForEnd(
  { clock, reconnect }: Pick<CliContext, "clock" | "reconnect">,
  runner: RunnerTransport,
  { id, until = Infinity, signal, isHeld }: AwaitedJob,
): Promise<JobAnswer> {
  const policy = reconnect(signal);
  while (true) {
    const seconds = Math.max(1, Math.ceil(Math.min(POLL_MS, until - clock.now()) / 1_000));
    const path = (query: QueryFields) =>
      `${jobPath(id)}/wait${queryOf({ timeout: `${seconds}s`, ...query })}`;
    const request = { signal, extraMs: seconds * 1_000 };
    const job = await policy.run(() =>
      asHolder(isHeld, (query) => runner.ask(readJob, { ...request, path: path(query) }))
    );
    if (hasEnded(job) || clock.now() >= until) return job;
  }
}

/** A part of a log. */
export interface LogPart {
  /** Offset of the first byte. */
  readonly from: number;
  readonly stream?: "stdout" | "stderr";
  readonly timestamps?: boolean;
}

/** Opens a job's log: as it is now, or, with `follow`, until the job has ended. */
export function openLog(
  runner: RunnerTransport,
  { id, follow = false, isHeld, hasNotes, ...part }: LogPart & Holding & {
    readonly id: string;
    readonly follow?: boolean;
    /** The answer says where output was dropped, by lines that offsets do not count. */
    readonly hasNotes?: boolean;
  },
  signal: AbortSignal,
): Promise<UnixResponse> {
  const own = { ...queryFields(part), follow: follow ? "1" : undefined, offset: part.from };
  return asHolder(
    isHeld,
    (query) => open(runner, { id, query: { ...own, ...query }, hasNotes }, signal),
  );
}

/**
 * Opens the rest of a log from `part.from` on.
 *
 * @returns `undefined` if there is nothing.
 */
export async function openLogRest(
  runner: RunnerTransport,
  { id, ...part }: LogPart & { readonly id: string },
  signal: AbortSignal,
): Promise<UnixResponse | undefined> {
  try {
    const range = `bytes=${part.from}-`;
    return await open(runner, { id, query: queryFields(part), range }, signal);
  } catch (error) {
    if (error instanceof CicdError && error.code === "range_not_satisfiable") return undefined;
    throw error;
  }
}

/** Returns the current size of a job's log, in bytes. */
export async function logSize(
  runner: RunnerTransport,
  { id, stream }: { readonly id: string; readonly stream?: LogPart["stream"] | undefined },
  signal: AbortSignal,
): Promise<number> {
  using response = await open(runner, { id, query: { stream }, range: "bytes=-1" }, signal);
  const total = /\/(\d{1,15})$/.exec(response.headers["content-range"] ?? "")?.[1];
  if (total !== undefined) return Number(total);
  throw new CicdError(
    "internal",
    "Cannot read the size of the log: the answer does not contain it",
  );
}

function open(
  runner: RunnerTransport,
  { id, query, range, hasNotes = false }: {
    readonly id: string;
    readonly query: QueryFields;
    readonly range?: string;
    readonly hasNotes?: boolean | undefined;
  },
  signal: AbortSignal,
): Promise<UnixResponse> {
  return runner.open({
    path: `${jobPath(id)}/logs${queryOf(query)}`,
    // To exactly `text/plain` the runner answers with the log's bytes only.
    headers: {
      accept: hasNotes ? "text/plain, */*;q=0.1" : "text/plain",
      ...(range === undefined ? {} : { range }),
    },
    signal,
  });
}

function queryFields({ stream, timestamps }: LogPart): QueryFields {
  return { stream, timestamps: timestamps === true ? "1" : undefined };
}
