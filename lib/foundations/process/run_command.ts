/**
 * Runs a helper program to its end and takes its output.
 *
 * For programs of the suite's own choosing, `loginctl` or `git`, not for jobs:
 * those run behind an executor.
 *
 * @module
 */
import { argvProblem, envProblem } from "@lib/core/exec_limits.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { readBounded } from "@lib/foundations/process/bounded_read.ts";

/** Options for {@linkcode RunCommand}. */
export interface RunCommandOptions {
  /** The whole environment; nothing is inherited. @default {{}} */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Text for its standard input; absent: none. */
  readonly stdin?: string;
  /** @default {30000} */
  readonly timeoutMs?: number;
  /** Bytes kept of each stream; the rest is dropped. @default {1 MiB} */
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
  /** Whether some output was dropped. */
  readonly truncated: boolean;
}

/**
 * Runs a program.
 *
 * It is executed without a shell, in a process group of its own that is killed
 * as a whole on abort and timeout. Ending with a code other than 0 is a
 * result, not an error.
 *
 * @throws {CicdError} `io_failed` if it cannot be executed,
 * `deadline_exceeded` if it takes longer than `timeoutMs`.
 * @throws The signal's reason if the signal aborts.
 */
export type RunCommand = (
  argv: readonly string[],
  options: RunCommandOptions,
) => Promise<CommandResult>;

/** How long output may come after the program has ended, from what it left behind. */
const LINGER_MS = 250;

/** Runs programs of this machine; see {@linkcode RunCommand}. */
export const runCommand: RunCommand = async (argv, options) => {
  const { env = {}, cwd, stdin, timeoutMs = 30_000, maxBytes = 1024 * 1024, signal } = options;
  const [program] = argv;
  const problem = argvProblem(argv) ?? envProblem(env);
  if (program === undefined || problem !== undefined) {
    throw new TypeError(
      `Cannot run "${program}": ${problem?.field ?? ""} ${problem?.message ?? "is empty"}`,
    );
  }
  signal.throwIfAborted();

  const child = spawn(program, { argv, env, cwd, stdin });
  const output = new AbortController();
  let alive = true;
  let timedOut = false;
  const kill = () => {
    // Once it is reaped, its number may be another's.
    if (alive) killGroup(child.pid);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, timeoutMs);
  signal.addEventListener("abort", kill, { once: true });
  try {
    const streams = Promise.all([
      readBounded(child.stdout, maxBytes, output.signal),
      readBounded(child.stderr, maxBytes, output.signal),
      stdin === undefined ? undefined : feed(child.stdin, stdin, output.signal),
    ]);
    const status = await child.status;
    alive = false;
    // Something it left behind may hold the pipes open for ever.
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
      stdout: new TextDecoder().decode(out.bytes),
      stderr: new TextDecoder().decode(err.bytes),
      truncated: out.droppedBytes + err.droppedBytes > 0,
    };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", kill);
  }
};

interface SpawnInput {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
  readonly stdin: string | undefined;
}

function spawn(program: string, { argv, env, cwd, stdin }: SpawnInput): Deno.ChildProcess {
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
      ? "there is no such program"
      : "it could not be executed";
    throw new CicdError("io_failed", `Cannot run "${program}": ${why}`, { cause: error });
  }
}

/** A program need not read its input to the end. */
async function feed(
  input: WritableStream<Uint8Array>,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const bytes = new Blob([text]).stream();
  await bytes.pipeTo(input, { signal }).catch(ignore("the program wants no more of it"));
}

function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch (error) {
    // It ended by itself at the same moment.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
