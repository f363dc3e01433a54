/**
 * Turns a request body into a durable job.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CicdError } from "@lib/core/errors.ts";
import { type JobId, newJobId, type ProjectName } from "@lib/core/ids.ts";
import { parseTraceparent } from "@lib/core/trace_context.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { NewJob } from "@lib/spine/queue/job_changes.ts";
import { assertMaySubmit, type Caller } from "@lib/core/caller.ts";
import {
  parseJobRequest,
  parseRetryRequest,
  type RequestDefaults,
} from "@lib/spine/spec/job_request.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { Intake } from "@lib/spine/queue/intake.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";

/** The parts that accept a job. */
export interface SubmitPorts {
  readonly store: Pick<JobStore, "insert" | "insertSoon" | "replayed">;
  readonly clock: Clock;
  readonly intake: Pick<Intake, "assertOpen" | "assertRoom" | "assertDisk">;
  readonly defaultsOf: (project: ProjectName) => RequestDefaults;
  /** Claims a job that may start at once. */
  readonly claim?: NewJob["claim"];
  /** Seals secrets for the database. */
  readonly seal: (secrets: Readonly<Record<string, string>>, jobId: JobId) => Uint8Array;
}

/** The result of a submission. */
export interface Submitted {
  readonly kind: "created" | "replayed";
  readonly job: Job;
}

/** Options for {@linkcode submitJob}. */
export interface SubmitOptions {
  readonly caller: Caller;
  readonly idempotencyKey: string | null;
  /** The caller's trace context, which is no part of the request; an unusable one is ignored. */
  readonly traceparent?: string | null;
  /** Stores related rows in the same transaction. */
  readonly also?: (id: JobId) => void;
}

/**
 * Validates and stores a job; when this returns, the job is on disk.
 *
 * @throws {CicdError} See the route's `errors`; nothing was stored.
 */
export function submitJob(ports: SubmitPorts, body: unknown, options: SubmitOptions): Submitted {
  const made = newJob(ports, body, options);
  return made.kind === "replayed" ? made : ports.store.insert(made);
}

/** Submits a job as {@linkcode submitJob} does, in one commit with others of the moment. */
export async function submitJobSoon(
  ports: SubmitPorts,
  body: unknown,
  options: SubmitOptions,
): Promise<Submitted> {
  const made = newJob(ports, body, options);
  return made.kind === "replayed" ? made : await ports.store.insertSoon(made);
}

function newJob(
  ports: SubmitPorts,
  body: unknown,
  { caller, idempotencyKey, traceparent = null, also }: SubmitOptions,
): (NewJob & { readonly kind: "new" }) | (Submitted & { readonly kind: "replayed" }) {
  const { spec: given, secrets } = parseJobRequest(body, (project) => {
    // Checked before anything of the project, its defaults or rules, can show in an answer.
    assertMaySubmit(caller, project);
    return ports.defaultsOf(project);
  });
  const isTraced = given.traceparent === undefined && traceparent !== null &&
    parseTraceparent(traceparent) !== undefined;
  const spec = isTraced ? { ...given, traceparent } : given;
  assertMaySubmit(caller, spec.project);
  const idempotency = idempotencyKey === null
    ? undefined
    : { key: keyFor(caller, checkedKey(idempotencyKey)), requestHash: hashOf(body) };
  // A job that was accepted before is not refused because there is no room for a new one.
  const known = idempotency === undefined ? undefined : ports.store.replayed(idempotency);
  if (known !== undefined) return { kind: "replayed", job: known };
  ports.intake.assertOpen(spec.project);
  ports.intake.assertRoom();
  ports.intake.assertDisk();
  const now = ports.clock.now();
  const id = newJobId();
  const job: Job = {
    id,
    spec,
    state: "queued",
    attempt: 0,
    retryBase: 0,
    usage: {},
    createdAt: now,
    notBefore: now,
    revision: 0,
  };
  return {
    kind: "new",
    job,
    // Others may be stored before it, and a drain may begin.
    assertTaken() {
      ports.intake.assertOpen(spec.project);
      ports.intake.assertRoom();
    },
    ...(ports.claim === undefined ? {} : { claim: ports.claim }),
    ...(spec.secretNames.length === 0 ? {} : { sealedSecrets: ports.seal(secrets, id) }),
    ...(idempotency === undefined ? {} : { idempotency }),
    ...(also === undefined ? {} : { also: () => also(id) }),
  };
}

/** The parts that run a job again. */
export interface RetryPorts extends Pick<SubmitPorts, "clock" | "seal"> {
  readonly store: Pick<JobStore, "retry" | "require">;
  /** Masks the job's logs, and removes the secrets that it still has. */
  readonly removeSecrets: (job: Job, signal: AbortSignal) => Promise<void>;
}

/** Options for {@linkcode retryJob}. */
export interface RetryOptions {
  readonly body: unknown;
  /** Called with the ended job right before it is queued. */
  readonly beforehand: (job: Job) => void;
  readonly signal: AbortSignal;
}

/**
 * Queues an ended job again, with the secrets of the body; when this resolves, that is on disk.
 *
 * @throws {CicdError} `invalid_request` if a secret is missing, `state_conflict` if the job has not
 * ended; nothing was stored.
 */
export async function retryJob(
  { store, clock, seal, removeSecrets }: RetryPorts,
  id: JobId,
  { body, beforehand, signal }: RetryOptions,
): Promise<Job> {
  const job = store.require(id);
  const secrets = isTerminal(job.state) ? parseRetryRequest(body, job.spec) : {};
  await removeSecrets(job, signal);
  const hasSecrets = Object.keys(secrets).length > 0;
  const now = store.require(id);
  if (isTerminal(now.state)) beforehand(now);
  const result = store.retry(id, {
    at: clock.now(),
    sealedSecrets: hasSecrets ? seal(secrets, id) : undefined,
  });
  if (result.kind === "refused") throw new CicdError(result.code, result.message);
  return store.require(id);
}

function checkedKey(key: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new CicdError(
    "invalid_request",
    "Cannot use the Idempotency-Key: give 1 to 255 visible ASCII characters",
    {
      issues: [{ path: "header.idempotency-key", message: "is not a key of 1 to 255 characters" }],
    },
  );
}

/** The idempotency keys of each API key are separate. */
function keyFor(caller: Caller, key: string): string {
  return caller.kind === "key" ? `${caller.id} ${key}` : key;
}

/** Hashes the meaning of a request, not the layout of its JSON. */
function hashOf(body: unknown): string {
  return createHash("sha256").update(JSON.stringify(sorted(body))).digest("hex");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map((
      [key, one],
    ) => [key, sorted(one)]),
  );
}
