/**
 * Failures of calls to a container engine.
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
    super(code, message, options);
    this.status = options.status;
  }
}

/** Tells if the engine answered with one of these statuses. */
export function hasStatus(error: unknown, ...statuses: readonly number[]): boolean {
  return error instanceof EngineError && error.status !== undefined &&
    statuses.includes(error.status);
}

/** Tells if the engine did not answer at all, so that the effect of the call is unknown. */
export function isEngineAway(error: unknown): boolean {
  return error instanceof CicdError && error.code === "engine_unavailable";
}

/**
 * Makes an {@linkcode EngineError} of anything the client throws.
 *
 * @param what Continues `Cannot`: `start container "…"`.
 */
export function toEngineError(thrown: unknown, what: string): CicdError {
  if (thrown instanceof EngineError) return thrown;
  const status = fieldOf(thrown, "statusCode");
  if (typeof status === "number") {
    const message = fieldOf(fieldOf(thrown, "json"), "message");
    const said = oneLine(typeof message === "string" ? message : messageOf(thrown));
    return new EngineError("executor_failed", `Cannot ${what}: ${said}`, { status });
  }
  if (thrown instanceof CicdError && thrown.code !== "deadline_exceeded") return thrown;
  const why = whyAway(thrown);
  return new EngineError("engine_unavailable", `Cannot ${what}: ${why}`, { cause: thrown });
}

function whyAway(thrown: unknown): string {
  if (thrown instanceof Deno.errors.PermissionDenied) return NOT_ALLOWED;
  switch (fieldOf(thrown, "code")) {
    case "EACCES":
    case "EPERM":
      return NOT_ALLOWED;
    case "ENOENT":
    case "ECONNREFUSED":
      return "the container engine is not running";
    default:
      return `the container engine does not answer (${oneLine(messageOf(thrown))})`;
  }
}

const NOT_ALLOWED = "this account may not use the engine's socket; is it in the engine's group?";

const SAID_MAX_CHARS = 500;

/** Makes one bounded line of a message from an engine or a registry. */
export function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, " ").trim();
  return line.length > SAID_MAX_CHARS ? `${line.slice(0, SAID_MAX_CHARS)}…` : line;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
