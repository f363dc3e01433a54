/**
 * The last word of a program that fails.
 *
 * @module
 */
import { toCicdError } from "@lib/core/errors.ts";

/** Tells people on standard error what went wrong; returns the exit code. */
export function exitCodeFor(program: string, thrown: unknown): number {
  const error = toCicdError(thrown);
  console.error(`${program}: ${error.message}`);
  for (const { path, message } of error.issues) console.error(`  ${path}: ${message}`);
  if (error.code === "internal") console.error(thrown);
  return error.entry.exitCode;
}
