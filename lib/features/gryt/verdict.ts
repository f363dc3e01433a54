/**
 * Decides whether a pipeline succeeded.
 *
 * `gryt run` exits with 0 whatever happens: a failed step, a pipeline that does
 * not load, a missing file. So the exit code says nothing; the output does: one
 * JSON document with the result of each step.
 *
 * @module
 */

/** The exit code and output of a run. */
export interface RunResult {
  readonly exitCode: number;
  /** The end of stdout. */
  readonly stdout: string;
  readonly stdoutIsWhole: boolean;
  readonly stderr: string;
}

/** The verdict on a run. */
export interface Verdict {
  readonly success: boolean;
  readonly exitCode: number;
  /** One sentence; absent after a success. */
  readonly error?: string;
}

/** Lines that are tried as the start of the results, from the last one up. */
const MAX_CANDIDATES = 64;
/** Levels of the results that are searched: runners, steps, and one more. */
const MAX_DEPTH = 4;
/** Steps lie below a runner, below the results. */
const STEP_DEPTH = 3;
const MAX_NAME_CHARS = 200;
const FAILURES = ["error", "failed", "failure", "invalid_env", "auth_error", "auth_failed"];

/**
 * Returns the verdict on a run.
 *
 * - An exit code other than 0 is a failure and stays as it is.
 * - With results, a failing status anywhere in them is a failure; the exit code is the first failing
 *   step's, else 1.
 * - Without results, a line `Error: …` on stderr, or no output at all, is a failure with 1.
 */
export function verdictOf({ exitCode, stdout, stdoutIsWhole, stderr }: RunResult): Verdict {
  const results = findResults(stdout);
  const failing = firstFailure(results, []);
  if (exitCode !== 0) {
    const error = failing?.error ?? `The pipeline ended with exit code ${exitCode}`;
    return { success: false, exitCode, error };
  }
  if (failing !== undefined) return { success: false, ...failing };
  if (results !== undefined) return { success: true, exitCode: 0 };
  const complaint = /^Error: ?(.*)$/m.exec(stderr);
  if (complaint !== null) {
    const what = (complaint[1] ?? "").trim().slice(0, 500);
    return failed(what === "" ? "The pipeline could not be run" : `The pipeline failed: ${what}`);
  }
  if (!stdoutIsWhole) {
    return failed("The results of the pipeline are too long to read; print less");
  }
  if (stdout.trim() === "") return failed("The pipeline printed no results");
  // Another image with a program of its own behind the same command: its exit code counts.
  return { success: true, exitCode: 0 };
}

function failed(error: string): Verdict {
  return { success: false, exitCode: 1, error };
}

/** Returns the last JSON document with results on stdout. */
function findResults(stdout: string): Readonly<Record<string, unknown>> | undefined {
  let end = stdout.length;
  for (let tried = 0; tried < MAX_CANDIDATES && end > 0; tried++) {
    const at = stdout.lastIndexOf("\n{", end - 1);
    const start = at < 0 ? (stdout.startsWith("{") ? 0 : -1) : at + 1;
    if (start < 0) return undefined;
    const found = asResults(stdout.slice(start).trim()) ??
      asResults(firstDocument(stdout, start));
    if (found !== undefined) return found;
    if (start === 0) return undefined;
    end = at;
  }
  return undefined;
}

/** Returns the text from `start` to the line that closes the document, or to the end of the line. */
function firstDocument(stdout: string, start: number): string {
  const lineEnd = stdout.indexOf("\n", start);
  const line = stdout.slice(start, lineEnd < 0 ? undefined : lineEnd).trim();
  if (line.length > 1) return line;
  const close = stdout.indexOf("\n}", start);
  return close < 0 ? "" : stdout.slice(start, close + 2);
}

function asResults(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.endsWith("}")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && ("results" in value || "status" in value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Returns the first failure, of steps before that of the objects that contain them. */
function firstFailure(
  value: Readonly<Record<string, unknown>> | undefined,
  path: readonly string[],
): { readonly exitCode: number; readonly error: string } | undefined {
  if (value === undefined || path.length > MAX_DEPTH) return undefined;
  for (const [name, child] of Object.entries(value)) {
    // A destination has a list of results, one for each thing it published.
    for (const one of Array.isArray(child) ? child : [child]) {
      const failure = isRecord(one) ? firstFailure(one, [...path, name]) : undefined;
      if (failure !== undefined) return failure;
    }
  }
  const { status, returncode, error } = value;
  if (typeof status !== "string" || !FAILURES.includes(status)) return undefined;
  const code = typeof returncode === "number" && Number.isInteger(returncode) && returncode !== 0
    ? returncode
    : 1;
  const name = (path.at(-1) ?? "").slice(0, MAX_NAME_CHARS);
  const what = status === "invalid_env"
    ? "The environment of the pipeline does not meet its requirements"
    : path.length < STEP_DEPTH
    ? `The pipeline ended with status "${status}"`
    : `Step "${name}" failed with exit code ${code}`;
  const why = typeof error === "string" && error.trim() !== ""
    ? `: ${error.trim().split("\n")[0]?.slice(0, 500)}`
    : "";
  return { exitCode: code, error: `${what}${why}` };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
