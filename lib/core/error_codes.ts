/**
 * The one table of operational errors.
 *
 * @module
 */

/** The properties of an error code. */
export interface ErrorCodeEntry {
  /** HTTP status of the problem document. */
  readonly status: number;
  /** Exit code of a command that ends with this error (sysexits.h). */
  readonly exitCode: number;
  /** The unchanged request may succeed later. */
  readonly retryable: boolean;
  /** Short title for the problem document; the same for every occurrence. */
  readonly title: string;
}

function entry(status: number, exitCode: number, retryable: boolean, title: string) {
  return { status, exitCode, retryable, title };
}

/** Every error code. */
export const ERROR_CODES = {
  invalid_http: entry(400, 65, false, "The request is not valid HTTP"),
  invalid_json: entry(400, 65, false, "The body is not valid JSON"),
  invalid_request: entry(422, 65, false, "A field of the request is invalid"),
  invalid_config: entry(500, 78, false, "The configuration is invalid"),
  usage: entry(400, 64, false, "The command line is invalid"),
  unauthorized: entry(401, 77, false, "The request has no valid key"),
  forbidden: entry(403, 77, false, "The key does not allow this"),
  rate_limited: entry(429, 75, true, "Too many requests"),
  cross_origin: entry(403, 77, false, "Requests from web pages are refused"),
  not_found: entry(404, 66, false, "The resource does not exist"),
  job_not_found: entry(404, 66, false, "The job does not exist"),
  project_not_found: entry(404, 66, false, "The project does not exist"),
  method_not_allowed: entry(405, 64, false, "The route does not support this method"),
  state_conflict: entry(409, 65, false, "The state does not allow this"),
  stale_attempt: entry(409, 75, false, "A later attempt owns the job"),
  idempotency_key_reused: entry(422, 65, false, "The idempotency key belongs to another request"),
  body_too_large: entry(413, 65, false, "The body is too large"),
  request_timeout: entry(408, 75, true, "The request took too long to arrive"),
  header_too_large: entry(431, 65, false, "The header is too large"),
  range_not_satisfiable: entry(416, 65, false, "The range is outside the log"),
  too_many_connections: entry(503, 75, true, "Too many open connections"),
  queue_full: entry(429, 75, true, "The queue is full"),
  draining: entry(503, 75, true, "New jobs are not accepted now"),
  disk_full: entry(507, 74, true, "Too little free disk space"),
  agent_unavailable: entry(503, 75, true, "The agent cannot be reached"),
  agent_missing: entry(500, 69, false, "The agent's program is missing"),
  runner_unavailable: entry(503, 69, true, "The runner cannot be reached"),
  runner_stopping: entry(503, 75, true, "The runner stops"),
  systemd_unavailable: entry(503, 69, true, "The service manager cannot be reached"),
  engine_unavailable: entry(503, 69, true, "The container engine cannot be reached"),
  executor_failed: entry(500, 70, true, "The job could not be started"),
  store_locked: entry(500, 75, true, "Another daemon owns the state directory"),
  store_corrupt: entry(500, 78, false, "The database is damaged"),
  store_unusable: entry(500, 78, false, "The state directory or its database cannot be used"),
  store_newer: entry(500, 78, false, "The database has a newer version"),
  socket_in_use: entry(500, 73, false, "The socket path is in use"),
  io_failed: entry(500, 74, true, "Reading or writing failed"),
  deadline_exceeded: entry(504, 75, true, "The deadline has passed"),
  internal: entry(500, 70, false, "Internal error: a defect of the suite"),
} as const satisfies Readonly<Record<string, ErrorCodeEntry>>;

/** A code of {@linkcode ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;
