/**
 * Runs programs of the machine.
 *
 * @module
 */

/** A started program. */
export interface Started extends AsyncDisposable {
  readonly stdout: ReadableStream<Uint8Array>;
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
}

/**
 * Runs a program to its end.
 *
 * @returns Standard output.
 * @throws {Error} If its exit code is not 0.
 */
export async function run(...argv: readonly [string, ...string[]]): Promise<string> {
  const { code, stdout, stderr } = await command(argv, "piped").output();
  const decoder = new TextDecoder();
  if (code === 0) return decoder.decode(stdout);
  throw new Error(`"${argv.join(" ")}" exited with ${code}: ${decoder.decode(stderr)}`);
}

/** Starts a program and discards its output; time a peer from before this call. */
export function launch(...argv: readonly [string, ...string[]]): Deno.ChildProcess {
  return command(argv, "null").spawn();
}

/** Starts a program whose output is read; disposing kills it. */
export function listen(...argv: readonly [string, ...string[]]): Started {
  const child = command(argv, "piped", "inherit").spawn();
  return {
    stdout: child.stdout,
    pid: child.pid,
    status: child.status,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
      await child.stdout.cancel().catch(() => undefined);
      await child.status;
    },
  };
}

/** Writes a shell script to a file, because `systemd-run` expands `$` and `%` in arguments. */
export async function script(text: string): Promise<string> {
  const path = await Deno.makeTempFile({ prefix: "bench-", suffix: ".sh" });
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`);
  await Deno.chmod(path, 0o755);
  return path;
}

/** Calls the user's service manager. */
export async function systemctl(...args: readonly string[]): Promise<string> {
  return (await run("systemctl", "--user", ...args)).trim();
}

/** The limits of the measured jobs, the same on both sides. */
export const LIMITS = { cpu: 1, memory: "256M", tasks: 64 } as const;

/** The same limits as arguments of `systemd-run`. */
export const LIMIT_FLAGS = [
  "--property=CPUQuota=100%",
  "--property=MemoryMax=256M",
  "--property=TasksMax=64",
] as const;

function command(
  [program, ...args]: readonly [string, ...string[]],
  stdout: "piped" | "null",
  stderr: "piped" | "null" | "inherit" = stdout,
): Deno.Command {
  return new Deno.Command(program, { args, stdin: "null", stdout, stderr });
}
