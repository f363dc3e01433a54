/**
 * Errors of the Gryt-compatible API: `{"detail": …}`.
 *
 * @module
 */
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import { jsonInvalid, type ValidationDetail } from "@lib/features/gryt/request.ts";

/** Answers with a sentence. */
export function grytError(
  status: number,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json({ detail }, { status, headers });
}

/** Answers a request that is invalid. */
export function unprocessable(detail: readonly ValidationDetail[]): Response {
  return Response.json({ detail }, { status: 422 });
}

/** Answers for a path that does not exist. */
export function noSuchPath(): Response {
  return grytError(404, "Not Found");
}

/** Answers for a path that exists for other methods. */
export function wrongMethod(allowed: readonly string[]): Response {
  return grytError(405, "Method Not Allowed", { allow: allowed.join(", ") });
}

/** Answers for a failure of the runner; a defect reveals no internals. */
export function grytFailure(thrown: unknown): Response {
  const error = toCicdError(thrown);
  if (error.code === "invalid_json") return unprocessable([jsonInvalid(0)]);
  const detail = error.code === "internal" ? "Internal Server Error" : error.message;
  const headers: Record<string, string> = error.retryAfterMs === undefined
    ? {}
    : { "retry-after": String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000))) };
  return grytError(error.entry.status, detail, headers);
}

/** Returns whether errors of a path have the shape of the Gryt-compatible API. */
export function isGrytPath(path: string): boolean {
  return path === "/jobs" || path.startsWith("/jobs/");
}

/** Throws on an error that the runner's own handling must see: the client disconnected. */
export function assertClientThere(request: Request, thrown: unknown): void {
  if (request.signal.aborted && !(thrown instanceof CicdError)) throw thrown;
}
