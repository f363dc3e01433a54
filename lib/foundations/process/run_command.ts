/**
 * Runs a helper program to its end and captures its output.
 *
 * For programs that the suite itself chooses, such as `loginctl` or `git`; executors run jobs.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { argvProblem, envProblem } from "@lib/core/exec_limits.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";

/** Options for {@linkcode RunCommand}. */
export interface RunCommandOptions {
  /** The whole environment; nothing is inherited. @default {{}} */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Text for its standard input; absent: none. */
  readonly stdin?: string;
  /** @default {30000} */
  readonly timeoutMs?: number;
  /** Bytes captured of each stream; the rest is dropped. @default {1 MiB} */
  readonly maxBytes?: number;
  readonly signal: AbortSignal;
}

/** How a program ended. */
export interface CommandResult {
  /** Its exit code; 128 + N after signal N. */
  readonly code: number;
  /** The signal that ended it, such as `SIGTERM`. */
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Some output was dropped. */
  readonly truncated: boolean;
}

/**
 * Runs a program without a shell, in a process group of its own that is killed as a whole on abort
 * and timeout. A non-zero exit code is a result, not an error.
 *
 * @throws {CicdError} `io_failed` if it cannot be executed, `deadline_exceeded` if it takes longer
 * than `timeoutMs`.
 * @throws The signal's reason if the signal aborts.
 */
export type RunCommand = (
  argv: readonly string[],
  options: RunCommandOptions,
) => Promise<CommandResult>;

/** How long output of orphans may follow the end of the program. */
const LINGER_MS = 250;

/** Runs programs of this machine; see {@linkcode RunCommand}. */
export const runCommand: RunCommand = async (argv, options) => {
  const { env = {}, stdin, timeoutMs = 30_000, maxBytes = 1024 * 1024, signal } = options;
  const [program] = argv;
  const problem = argvProblem(argv) ?? envProblem(env);
  if (program === undefined || problem !== undefined) {
    throw new TypeError(
      `Cannot run "${program}": ${problem?.field ?? ""} ${problem?.message ?? "is empty"}`,
    );
  }
  signal.throwIfAborted();

  const child = spawn(program, argv, options);
  const output = new AbortController();
  let alive = true;
  let timedOut = false;
  const kill = () => {
    // Once it is reaped, its pid may belong to another process.
    if (alive) killGroup(child.pid);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, timeoutMs);
  signal.addEventListener("abort", kill, { once: true });
  try {
    const streams = Promise.all([
      capture(child.stdout, maxBytes, output.signal),
      capture(child.stderr, maxBytes, output.signal),
      stdin === undefined ? undefined : feed(child.stdin, stdin, output.signal),
    ]);
    const status = await child.status;
    alive = false;
    // An orphan may hold the pipes open forever.
    const linger = setTimeout(() => output.abort(), LINGER_MS);
    const [out, err] = await streams;
    clearTimeout(linger);
    signal.throwIfAborted();
    if (timedOut) {
      throw new CicdError(
        "deadline_exceeded",
        `Cannot wait longer for "${program}": ${timeoutMs} ms have passed`,
      );
    }
    return {
      code: status.code,
      signal: status.signal ?? undefined,
      stdout: out.text,
      stderr: err.text,
      truncated: out.truncated || err.truncated,
    };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", kill);
  }
};

function spawn(
  program: string,
  argv: readonly string[],
  { env, cwd, stdin }: RunCommandOptions,
): Deno.ChildProcess {
  try {
    return new Deno.Command(program, {
      args: argv.slice(1),
      clearEnv: true,
      env: { ...env },
      detached: true,
      stdin: stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      ...(cwd === undefined ? {} : { cwd }),
    }).spawn();
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound
      ? "command not found"
      : "it cannot be executed";
    throw new CicdError("io_failed", `Cannot run "${program}": ${why}`, { cause: error });
  }
}

/**
 * Reads `stream` to its end, or until `signal` aborts, and keeps its first `maxBytes`. The rest is
 * read and dropped, so that the writer never blocks. A stream that fails has ended.
 */
async function capture(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  signal: AbortSignal,
): Promise<{ readonly text: string; readonly truncated: boolean }> {
  const parts: Uint8Array[] = [];
  let kept = 0;
  let truncated = false;
  const reader = stream.getReader();
  const onAbort = () => void reader.cancel(signal.reason).catch(ignore("it is closed"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal.aborted) onAbort();
    for (;;) {
      const { done, value } = await reader.read().catch(
        () => ({ done: true, value: undefined } as const),
      );
      if (done) break;
      const part = value.subarray(0, maxBytes - kept);
      if (part.byteLength > 0) parts.push(part.slice());
      kept += part.byteLength;
      truncated ||= part.byteLength < value.byteLength;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    reader.releaseLock();
  }
  return { text: new TextDecoder().decode(Buffer.concat(parts)), truncated };
}

/** A program need not read its input to the end. */
async function feed(
  input: WritableStream<Uint8Array>,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const bytes = new Blob([text]).stream();
  await bytes.pipeTo(input, { signal }).catch(ignore("the program stopped reading"));
}

function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch (error) {
    // It has just ended by itself.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
