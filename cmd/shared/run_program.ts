/**
 * The outermost frame of a program.
 *
 * @module
 */
import { failureLines, toCicdError } from "@lib/core/errors.ts";

/** Runs a program and returns its exit code; a failure is printed on standard error. */
export async function runProgram(name: string, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (thrown) {
    const error = toCicdError(thrown);
    console.error(`${name}: ${failureLines(error).join("\n")}`);
    if (error.code === "internal") console.error(thrown);
    return error.entry.exitCode;
  }
}
