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

/** Characters of text over several lines that are parsed without being JSON, before that is given up. */
const PARSED_IN_VAIN_MAX = 64 * 1024 * 1024;
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
  const failing = results.map((one) => firstFailure(one, [])).find((one) => one !== undefined);
  if (exitCode !== 0) {
    const error = failing?.error ?? `The pipeline ended with exit code ${exitCode}`;
    return { success: false, exitCode, error };
  }
  if (failing !== undefined) return { success: false, ...failing };
  if (results.length > 0) return { success: true, exitCode: 0 };
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

/**
 * Returns the documents on stdout that decide: the last one with results, and the last one with a
 * status. A pipeline may print JSON with a status after its results, which can only make it worse.
 */
function findResults(stdout: string): readonly Readonly<Record<string, unknown>>[] {
  let results: Readonly<Record<string, unknown>> | undefined;
  let status: Readonly<Record<string, unknown>> | undefined;
  let close = -1;
  let inVain = 0;
  for (let start = stdout.startsWith("{") ? 0 : nextLine(stdout, 0); start >= 0;) {
    const lineEnd = stdout.indexOf("\n", start);
    const line = stdout.slice(start, lineEnd < 0 ? undefined : lineEnd).trim();
    let end = start + 1;
    let found = line.length > 1 ? asRecord(line) : undefined;
    if (found === undefined && inVain < PARSED_IN_VAIN_MAX) {
      if (close < start) close = stdout.indexOf("\n}", start);
      if (close < 0) close = stdout.length;
      else {
        found = close < stdout.length ? asRecord(stdout.slice(start, close + 2)) : undefined;
        if (found === undefined) inVain += close - start;
        else end = close;
      }
    }
    if (found !== undefined && isRecord(found["results"])) results = found;
    else if (found !== undefined && ("results" in found || "status" in found)) status = found;
    start = nextLine(stdout, end);
  }
  return [results, status].filter((one) => one !== undefined);
}

/** Returns where the next line begins that begins with a brace; -1 if there is none. */
function nextLine(stdout: string, from: number): number {
  const at = stdout.indexOf("\n{", from);
  return at < 0 ? -1 : at + 1;
}

function asRecord(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.endsWith("}")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Returns the first failure, of steps before that of the objects that contain them. */
function firstFailure(
  value: Readonly<Record<string, unknown>>,
  path: readonly string[],
): { readonly exitCode: number; readonly error: string } | undefined {
  if (path.length > MAX_DEPTH) return undefined;
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
