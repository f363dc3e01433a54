/**
 * What goes wrong between us and a container engine.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";

/** A call that the engine refused, or that did not reach it. */
export class EngineError extends CicdError {
  /** HTTP status of the engine's answer; absent if there was none. */
  readonly status: number | undefined;

  constructor(
    code: "engine_unavailable" | "executor_failed",
    message: string,
    options: { readonly status?: number; readonly cause?: unknown } = {},
  ) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause });
    this.status = options.status;
  }
}

/** Whether the engine answered with one of these statuses. */
export function hasStatus(error: unknown, ...statuses: readonly number[]): boolean {
  return error instanceof EngineError && error.status !== undefined &&
    statuses.includes(error.status);
}

/** Whether the engine did not answer at all, so that nothing is known of the call. */
export function isEngineAway(error: unknown): boolean {
  return error instanceof CicdError && error.code === "engine_unavailable";
}

/**
 * Makes an {@linkcode EngineError} of anything thrown by the client.
 *
 * @param what Continues `Cannot`: `start container "…"`.
 */
export function toEngineError(thrown: unknown, what: string): CicdError {
  if (thrown instanceof EngineError) return thrown;
  const status = fieldOf(thrown, "statusCode");
  if (typeof status === "number") {
    return new EngineError("executor_failed", `Cannot ${what}: ${engineSaid(thrown)}`, { status });
  }
  if (thrown instanceof CicdError && thrown.code !== "deadline_exceeded") return thrown;
  return new EngineError("engine_unavailable", `Cannot ${what}: ${whyAway(thrown)}`, {
    cause: thrown,
  });
}

/** The engine's own sentence, on one line and bounded. */
function engineSaid(thrown: unknown): string {
  const json = fieldOf(thrown, "json");
  const message = fieldOf(json, "message");
  return oneLine(typeof message === "string" ? message : messageOf(thrown));
}

function whyAway(thrown: unknown): string {
  if (thrown instanceof Deno.errors.PermissionDenied) return NOT_ALLOWED;
  switch (fieldOf(thrown, "code")) {
    case "EACCES":
    case "EPERM":
      return NOT_ALLOWED;
    case "ENOENT":
    case "ECONNREFUSED":
      return "the container engine does not run";
    default:
      return `the container engine does not answer (${oneLine(messageOf(thrown))})`;
  }
}

const NOT_ALLOWED = "this account may not use the engine's socket; is it in the engine's group?";

const SAID_MAX_CHARS = 500;

/** Makes one bounded line of what an engine or a registry says. */
export function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, " ").trim();
  return line.length > SAID_MAX_CHARS ? `${line.slice(0, SAID_MAX_CHARS)}…` : line;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && name in value
    ? Reflect.get(value, name)
    : undefined;
}
