/**
 * Operational failures.
 *
 * An expected outcome is a union and a caller's mistake a `TypeError` or `RangeError`; failures of
 * the disk, the bus or another process are a {@linkcode CicdError}.
 *
 * @module
 */
import { ERROR_CODES, type ErrorCode, type ErrorCodeEntry } from "@lib/core/error_codes.ts";

/** One problem of an input. */
export interface FieldIssue {
  /** The path of a field, such as `limits.memory`, or `file:line:column`. */
  readonly path: string;
  /** The problem and how to fix it. */
  readonly message: string;
}

/** Makes issues of problems by path; `undefined` is no problem. */
export function issuesOf(
  problems: readonly (readonly [path: string, problem: string | undefined])[],
): FieldIssue[] {
  return problems.flatMap(([path, message]) => message === undefined ? [] : [{ path, message }]);
}

/** Options for {@linkcode CicdError}. */
export interface CicdErrorOptions {
  readonly cause?: unknown;
  /** The fields at fault, for errors about an input. */
  readonly issues?: readonly FieldIssue[];
  /** When to try again, in milliseconds; sent as `Retry-After`. */
  readonly retryAfterMs?: number;
}

/** A failure with a code from the one table. */
export class CicdError extends Error {
  override readonly name = "CicdError";
  readonly code: ErrorCode;
  readonly issues: readonly FieldIssue[];
  readonly retryAfterMs: number | undefined;

  /** @param message `Cannot <verb> <object> "<value>": <current state>`, without secrets. */
  constructor(code: ErrorCode, message: string, options: CicdErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.issues = options.issues ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }

  /** The table entry of this error's code. */
  get entry(): ErrorCodeEntry {
    return ERROR_CODES[this.code];
  }
}

/** Returns the lines of an error for people; an issue that the message names is not repeated. */
export function failureLines({ message, issues }: CicdError): readonly string[] {
  return [
    message,
    ...issues.filter((issue) => !message.includes(issue.message))
      .map((issue) => `  ${issue.path}: ${issue.message}`),
    // A message may quote what a server or a file contains.
  ].map((line) => line.replace(/[^\P{Cc}\n\t]/gu, "\u{fffd}"));
}

/** Returns true if the disk was too full to write something. */
export function isDiskFull(thrown: unknown): boolean {
  if (thrown instanceof CicdError) return thrown.code === "disk_full";
  return thrown instanceof Error && "code" in thrown &&
    (thrown.code === "ENOSPC" || thrown.code === "EDQUOT");
}

/** Refusals of the machine: unlike a missing file, no defects of the programs. */
const REFUSALS: ReadonlySet<unknown> = new Set([
  "EACCES",
  "EBUSY",
  "EIO",
  "EMFILE",
  "ENFILE",
  "ENOTEMPTY",
  "EPERM",
  "EROFS",
  "ESTALE",
]);

/** Returns a thrown {@linkcode CicdError} as it is and wraps anything else. */
export function toCicdError(thrown: unknown): CicdError {
  if (thrown instanceof CicdError) return thrown;
  if (isDiskFull(thrown)) {
    return new CicdError(
      "disk_full",
      `Cannot write to the disk: ${messageOf(thrown)}; free some space, such as with ` +
        "'cicd-runner clean'",
      { cause: thrown, retryAfterMs: 30_000 },
    );
  }
  if (thrown instanceof Error && "code" in thrown && REFUSALS.has(thrown.code)) {
    return new CicdError("io_failed", `Cannot use a file or directory: ${thrown.message}`, {
      cause: thrown,
    });
  }
  return new CicdError("internal", `Unexpected failure: ${messageOf(thrown)}`, { cause: thrown });
}

/** Returns the message of anything thrown. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  try {
    return String(thrown);
  } catch {
    // A value without a prototype has no text of its own.
    return "a thrown value without a text";
  }
}

/** Makes a handler that ignores a rejection; the argument tells readers why nothing is lost. */
export function ignore(_why: string): (thrown: unknown) => void {
  return () => {};
}

/** Returns true if a request failed because nobody listens at its address. */
export function isNobodyListening(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused;
}

/**
 * Marks a branch that no value reaches, checked by the compiler and again at run time.
 *
 * @throws {TypeError} Always: a value outside its type got in.
 */
export function assertNever(value: never): never {
  throw new TypeError(`Unexpected value: ${JSON.stringify(value)}`);
}
