/**
 * The frame of a command.
 *
 * @module
 */
import { toCicdError } from "@lib/core/errors.ts";
import { openOutput, OutputClosedError } from "@lib/api/client/context.ts";

/**
 * Runs a command; with `--json`, its failure is JSON too.
 *
 * @returns The exit code.
 * @throws {CicdError} If the command fails and nothing has reported it.
 */
export async function runCommand(
  args: readonly string[],
  run: () => Promise<number>,
): Promise<number> {
  try {
    return await run();
  } catch (thrown) {
    // As with `… | head`: the reader has seen enough.
    if (thrown instanceof OutputClosedError) return 0;
    const error = toCicdError(thrown);
    if (!wantsJson(args) || error.code === "internal") throw thrown;
    openOutput(Deno.env.toObject(), { json: true }).failed(error);
    return error.entry.exitCode;
  }
}

/** Tells if the answer is JSON, also where the command line cannot be parsed. */
export function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? args.length : end).includes("--json");
}
