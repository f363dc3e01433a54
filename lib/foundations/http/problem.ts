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
  /** From the one table of error codes; stable. */
  readonly code: string;
  readonly retryable: boolean;
  /** Which fields are at fault, for errors about a request. */
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

/** The document as text. */
export function problemText(code: ErrorCode, detail: string): string {
  return `${JSON.stringify(toProblem(code, detail))}\n`;
}

/** The response for an error; unexpected ones tell the client nothing of the inside. */
export function problemResponse(error: CicdError): Response {
  const headers = new Headers({ "content-type": "application/problem+json" });
  if (error.retryAfterMs !== undefined) {
    headers.set("retry-after", String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000))));
  }
  if (error.code === "unauthorized") headers.set("www-authenticate", "Bearer");
  const detail = error.code === "internal"
    ? "The request met a defect; the runner's journal has the details"
    : error.message;
  return new Response(`${JSON.stringify(toProblem(error.code, detail, error.issues))}\n`, {
    status: error.entry.status,
    headers,
  });
}

/** Reads a problem document; `undefined` if the value is none. */
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
