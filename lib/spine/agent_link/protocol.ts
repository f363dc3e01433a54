/**
 * The protocol between runner and agent on the agent's socket.
 *
 * | request | answer |
 * |---|---|
 * | `PUT /attempts/JOB/N` with an {@linkcode AttemptInput} | lines of {@linkcode AttemptLine}, until the attempt has ended |
 * | `POST /attempts/JOB/N/stop` with a {@linkcode CancelRequest} | 202, or 404 while the attempt is unknown |
 * | `POST /reload` | 204 after the configuration was read again, or the reason why it cannot be used |
 * | `POST /exit` | 202 if the agent exits unless a request comes first, 409 if it has attempts or nobody would start it again |
 * | `GET /status` | {@linkcode AgentStatus} |
 *
 * `PUT` is idempotent: a client that loses the connection sends it again and joins the same
 * attempt. Fields are only ever added, so that a runner and an agent of different releases
 * understand each other during an upgrade.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import type { AttemptInput } from "@lib/spine/attempts/attempt_input.ts";
import { commitRecord, outcomeRecord } from "@lib/spine/jobs/attempt_record.ts";
import { specRecord } from "@lib/spine/spec/job_spec.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";

/** A line of the answer to an order. */
export type AttemptLine =
  /**
   * The attempt is alive; also sent from time to time as a sign of life, and when it goes on to
   * another step before or after its job: `doing` names it for people. `commit` is there once the
   * repository is checked out.
   */
  | { readonly kind: "alive"; readonly doing?: string; readonly commit?: string }
  /** The attempt is over; the last line. */
  | { readonly kind: "ended"; readonly outcome: AttemptOutcome };

/** The status of an agent. */
export type AgentStatus = Readonly<v.InferOutput<typeof status>>;

/** The interval of an agent's signs of life on an answer. */
export const SIGN_OF_LIFE_MS = 10_000;

const order = v.object({
  spec: specRecord,
  secrets: v.nullable(v.record(v.string(), v.string())),
  bootId: v.string(),
  accepted: v.optional(v.boolean()),
  configStamp: v.optional(v.string()),
});

const line = v.variant("kind", [
  v.object({
    kind: v.literal("alive"),
    doing: v.exactOptional(v.string()),
    commit: v.exactOptional(commitRecord),
  }),
  v.object({ kind: v.literal("ended"), outcome: outcomeRecord }),
]);

const cancel = v.object({ reason: v.picklist(["cancelled", "superseded"]), by: v.string() });

const status = v.object({
  project: v.string(),
  version: v.string(),
  pid: v.number(),
  /** Milliseconds since the epoch. */
  started_at: v.number(),
  executor: v.string(),
  /** `<job id>/<attempt number>` of the running attempts. */
  attempts: v.pipe(v.array(v.string()), v.readonly()),
  /** On everything the project runs: `cpu`, `memory_bytes`, `tasks`. */
  limits: v.record(v.string(), v.number()),
  /** Of everything the project runs: `memory_bytes`, `tasks`, `cpu_seconds`. */
  usage: v.record(v.string(), v.number()),
});

/** Parses an order. @throws {CicdError} `invalid_request` */
export function parseAttemptOrder(value: unknown): AttemptInput {
  return accepted(order, value, "the order");
}

/** Parses a stop request. @throws {CicdError} `invalid_request` */
export function parseCancelRequest(value: unknown): CancelRequest {
  return accepted(cancel, value, "the stop request");
}

function accepted<T>(schema: v.GenericSchema<unknown, T>, value: unknown, what: string): T {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issues = result.issues.slice(0, 8).map((issue) => ({
    path: v.getDotPath(issue) ?? "body",
    // The validator's own message quotes the input, which may be a secret.
    message: `is not of type ${issue.type}`,
  }));
  throw new CicdError("invalid_request", `Cannot read ${what}: ${issues[0]?.path} is wrong`, {
    issues,
  });
}

/** Parses a line of an answer. @throws {v.ValiError} */
export function parseAttemptLine(value: unknown): AttemptLine {
  return v.parse(line, value);
}

/** Parses an agent's status. @throws {v.ValiError} */
export function parseAgentStatus(value: unknown): AgentStatus {
  return v.parse(status, value);
}
