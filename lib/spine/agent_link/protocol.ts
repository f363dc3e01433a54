/**
 * What runner and agent say to each other over the agent's socket.
 *
 * | request | answer |
 * |---|---|
 * | `PUT /attempts/JOB/N` with an {@linkcode AttemptOrder} | lines of {@linkcode AttemptLine}, until the attempt has ended |
 * | `POST /attempts/JOB/N/stop` with a {@linkcode CancelRequest} | 202, or 404 while the attempt is unknown |
 * | `GET /status` | {@linkcode AgentStatus} |
 *
 * `PUT` is idempotent: whoever loses the connection sends it again and joins
 * the same attempt. Fields are only ever added, so that a runner and an agent
 * of different releases understand each other while an upgrade is under way.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import { outcomeRecord } from "@lib/spine/jobs/attempt_record.ts";
import { type JobSpec, specRecord } from "@lib/spine/spec/job_spec.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";

/** The order to run an attempt. */
export interface AttemptOrder {
  readonly spec: JobSpec;
  /** Values by name. */
  /** `null`: they cannot be had, so the attempt can only be joined. */
  readonly secrets: Readonly<Record<string, string>> | null;
  /**
   * The boot of the machine in which the attempt was claimed. In a later boot nothing of it lives,
   * and its files may be gone though it ran: it is never begun then.
   */
  readonly bootId: string;
}

/** A line of the answer to an order. */
export type AttemptLine =
  /** The attempt's processes live; also sent from time to time as a sign of life. */
  | { readonly kind: "alive" }
  /** The attempt is over; the last line. */
  | { readonly kind: "ended"; readonly outcome: AttemptOutcome };

/** An agent about itself. */
export interface AgentStatus {
  readonly project: string;
  readonly version: string;
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly started_at: number;
  readonly executor: string;
  /** `<job id>/<attempt number>` of what runs now. */
  readonly attempts: readonly string[];
  /** On everything the project runs: `cpu`, `memory_bytes`, `tasks`. */
  readonly limits: Readonly<Record<string, number>>;
  /** Of everything the project runs: `memory_bytes`, `tasks`, `cpu_seconds`. */
  readonly usage: Readonly<Record<string, number>>;
}

/** How often an agent shows a sign of life on an answer. */
export const SIGN_OF_LIFE_MS = 10_000;

const textRecord = v.record(v.string(), v.string());

const order = v.object({ spec: specRecord, secrets: v.nullable(textRecord), bootId: v.string() });

const line = v.variant("kind", [
  v.object({ kind: v.literal("alive") }),
  v.object({ kind: v.literal("ended"), outcome: outcomeRecord }),
]);

const cancel = v.object({ reason: v.picklist(["cancelled", "superseded"]), by: v.string() });

const status = v.object({
  project: v.string(),
  version: v.string(),
  pid: v.number(),
  started_at: v.number(),
  executor: v.string(),
  attempts: v.array(v.string()),
  limits: v.record(v.string(), v.number()),
  usage: v.record(v.string(), v.number()),
});

/** Reads an order. @throws {CicdError} `invalid_request` if it is none. */
export function parseAttemptOrder(value: unknown): AttemptOrder {
  return accepted(v.safeParse(order, value), "the order");
}

function accepted<T>(
  result: { success: true; output: T } | {
    success: false;
    issues: readonly v.BaseIssue<unknown>[];
  },
  what: string,
): T {
  if (result.success) return result.output;
  const issues = result.issues.slice(0, 8).map((issue) => ({
    path: v.getDotPath(issue) ?? "body",
    // The validator's own message quotes what was received, which may be a secret.
    message: `is no ${issue.type}`,
  }));
  throw new CicdError("invalid_request", `Cannot read ${what}: ${issues[0]?.path} is wrong`, {
    issues,
  });
}

/** Reads a line of an answer. @throws {v.ValiError} If it is none. */
export function parseAttemptLine(value: unknown): AttemptLine {
  return v.parse(line, value);
}

/** Reads a stop request. @throws {CicdError} `invalid_request` if it is none. */
export function parseCancelRequest(value: unknown): CancelRequest {
  return accepted(v.safeParse(cancel, value), "the stop request");
}

/** Reads an agent's status. @throws {v.ValiError} If it is none. */
export function parseAgentStatus(value: unknown): AgentStatus {
  return v.parse(status, value);
}
