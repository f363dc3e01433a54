/**
 * Runs the programs that a build needs.
 *
 * @module
 */

/** Options for {@linkcode run}. */
export interface RunOptions {
  readonly cwd?: string;
  /** In addition to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Runs `argv` and returns its stdout.
 *
 * @throws {Error} If it cannot be started or fails; the message ends with its stderr.
 */
export async function run(argv: readonly string[], options: RunOptions): Promise<string> {
  const [program = "", ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: options.signal,
    ...options.cwd === undefined ? {} : { cwd: options.cwd },
    env: { NO_COLOR: "1", ...options.env },
  });
  const { success, code, stdout, stderr } = await child.output();
  if (!success) {
    const said = new TextDecoder().decode(stderr).trim().slice(-4_000);
    throw new Error(`Cannot run "${argv.join(" ")}": exit code ${code}\n${said}`);
  }
  return new TextDecoder().decode(stdout);
}
