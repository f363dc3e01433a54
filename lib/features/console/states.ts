/** The states, as `cicd-runner status` names them. */
export const STATES = [
  "off",
  "misconfigured",
  "registering",
  "connecting",
  "connected",
  "unreachable",
  "unauthorized",
  "not_found",
  "unknown_instance",
  "refused",
  "rate_limited",
  "console_error",
  "not_a_console",
  "closed_at_once",
  "silent",
  "garbled",
  "oversized",
  "replaced",
  "dropped",
  "renewing",
  "failed",
  "stopping",
  "stopped",
] as const;

/** One of {@linkcode STATES}. */
export type ConsoleState = typeof STATES[number];
