/**
 * Errors on the wire: RFC 9457 problem documents with a stable `code`.
 *
 * @module
 */
import { ERROR_CODES, type ErrorCode } from "@lib/core/error_codes.ts";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";

/** A problem document. */
export interface Problem {
  /** A URN that names the code. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** From the table of error codes; stable. */
  readonly code: string;
  readonly retryable: boolean;
  /** The invalid fields of a request. */
  readonly errors?: readonly FieldIssue[];
}

/** Makes the problem document of a code. */
export function toProblem(
  code: ErrorCode,
  detail: string,
  issues: readonly FieldIssue[] = [],
): Problem {
  const { status, title, retryable } = ERROR_CODES[code];
  return {
    type: `urn:cicd-toolkit:problem:${code}`,
    title,
    status,
    detail,
    code,
    retryable,
    ...(issues.length === 0 ? {} : { errors: issues }),
  };
}

/** Makes the parts of a response to an error; internal errors reveal nothing. */
export function problemParts({ code, message, entry, issues, retryAfterMs }: CicdError): {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
} {
  const detail = code === "internal"
    ? "The request met a defect; the runner's journal has the details"
    : message;
  return {
    status: entry.status,
    headers: {
      "Content-Type": "application/problem+json",
      ...(retryAfterMs === undefined
        ? {}
        : { "Retry-After": String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) }),
      ...(code === "unauthorized" ? { "WWW-Authenticate": "Bearer" } : {}),
    },
    body: `${JSON.stringify(toProblem(code, detail, issues))}\n`,
  };
}

/** Makes the response to an error. */
export function problemResponse(error: CicdError): Response {
  const { body, ...init } = problemParts(error);
  return new Response(body, init);
}

/** Parses a problem document; returns `undefined` if the value is not one. */
export function parseProblem(value: unknown): CicdError | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (!("code" in value) || !("detail" in value) || typeof value.detail !== "string") {
    return undefined;
  }
  const code = Object.keys(ERROR_CODES).find((known): known is ErrorCode => known === value.code);
  if (code === undefined) return undefined;
  const issues = "errors" in value && Array.isArray(value.errors)
    ? value.errors.filter(isIssue)
    : [];
  return new CicdError(code, value.detail, { issues });
}

function isIssue(value: unknown): value is FieldIssue {
  return typeof value === "object" && value !== null && "path" in value && "message" in value &&
    typeof value.path === "string" && typeof value.message === "string";
}
