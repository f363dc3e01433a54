/**
 * Operational failures.
 *
 * An expected outcome is a union, a caller's mistake is a `TypeError` or
 * `RangeError`; what is left, the disk, the bus, the other process, is a
 * {@linkcode CicdError}.
 *
 * @module
 */
import { ERROR_CODES, type ErrorCode, type ErrorCodeEntry } from "@lib/core/error_codes.ts";

/** One thing that is wrong with an input. */
export interface FieldIssue {
  /** Where: a field's path such as `limits.memory`, or `file:line:column`. */
  readonly path: string;
  /** What is wrong and what to do. */
  readonly message: string;
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

  /**
   * @param message `Cannot <verb> <object> "<value>": <current state>`; never
   * holds a secret.
   */
  constructor(code: ErrorCode, message: string, options: CicdErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.issues = options.issues ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }

  /** What hangs on this error's code. */
  get entry(): ErrorCodeEntry {
    return ERROR_CODES[this.code];
  }
}

/** Wraps anything thrown as a {@linkcode CicdError}; one stays as it is. */
export function toCicdError(thrown: unknown): CicdError {
  if (thrown instanceof CicdError) return thrown;
  return new CicdError("internal", `Unexpected failure: ${messageOf(thrown)}`, {
    cause: thrown,
  });
}

/** The message of anything thrown. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  try {
    return String(thrown);
  } catch {
    // A value without a prototype has no text of its own.
    return "a thrown value without a text";
  }
}

/**
 * Makes a rejection handler that ignores the rejection, for the reason given.
 *
 * @param _why Read by people only; it says why nothing is lost.
 */
export function ignore(_why: string): (thrown: unknown) => void {
  return () => {};
}

/** Tells if the failure of a request says that nobody listens at its address. */
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
