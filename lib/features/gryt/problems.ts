/**
 * Errors of the Gryt-compatible API: `{"detail": …}`, as its clients know them.
 *
 * @module
 */
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import { jsonInvalid, type ValidationDetail } from "@lib/features/gryt/request.ts";

/** An answer with a sentence. */
export function grytError(
  status: number,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json({ detail }, { status, headers });
}

/** The answer to a request that cannot be read. */
export function unprocessable(detail: readonly ValidationDetail[]): Response {
  return Response.json({ detail }, { status: 422 });
}

/** The answer where there is nothing. */
export function noSuchPath(): Response {
  return grytError(404, "Not Found");
}

/** The answer where there is something, for other methods. */
export function wrongMethod(allowed: readonly string[]): Response {
  return grytError(405, "Method Not Allowed", { allow: allowed.join(", ") });
}

/** The answer for a failure of ours; a defect tells nothing of the inside. */
export function grytFailure(thrown: unknown): Response {
  const error = toCicdError(thrown);
  if (error.code === "invalid_json") return unprocessable([jsonInvalid(0)]);
  const detail = error.code === "internal" ? "Internal Server Error" : error.message;
  const headers: Record<string, string> = error.retryAfterMs === undefined
    ? {}
    : { "retry-after": String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000))) };
  return grytError(error.entry.status, detail, headers);
}

/** Whether a path belongs to the Gryt-compatible API, so that its clients look at errors there. */
export function isGrytPath(path: string): boolean {
  return path === "/jobs" || path.startsWith("/jobs/");
}

/** Passes on what only the runner's own handling can answer: the client is gone. */
export function assertClientThere(request: Request, thrown: unknown): void {
  if (request.signal.aborted && !(thrown instanceof CicdError)) throw thrown;
}
