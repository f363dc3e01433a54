/**
 * The kernel's limits on arguments and environment of a program, checked before a job is accepted
 * rather than when `execve` fails with `E2BIG`.
 *
 * @module
 */

/** Longest single argument or `NAME=value`, in bytes: `MAX_ARG_STRLEN` less its NUL. */
export const EXEC_STRING_MAX_BYTES = 128 * 1024 - 1;

/**
 * Largest argv and environment together, in bytes, including pointers. The kernel allows a quarter
 * of the stack limit, usually 2 MiB; the rest is for additions by the suite and by shells.
 */
export const EXEC_TOTAL_MAX_BYTES = 1024 * 1024;

/** Longest name of an environment variable, in bytes. */
export const ENV_NAME_MAX_BYTES = 256;

/** Each string needs a pointer and its NUL too. */
const STRING_OVERHEAD_BYTES = 9;

const encoder = new TextEncoder();

/** The problem of an argument or variable. */
export interface ExecProblem {
  /** The index of the argument, the name of the variable, or empty for the whole. */
  readonly field: string;
  /** Continues a sentence whose subject is the field. */
  readonly message: string;
}

/** Returns the problem of a variable's name; `undefined` if there is none. */
export function envNameProblem(name: string): string | undefined {
  if (name === "") return "has no name";
  if (name.includes("=")) return "contains '='; a name ends there";
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return "is not a variable name; use letters, digits and '_', and do not begin with a digit";
  }
  if (name.length > ENV_NAME_MAX_BYTES) {
    return `is ${name.length} characters long; at most ${ENV_NAME_MAX_BYTES} are allowed`;
  }
  return undefined;
}

function execStringProblem(text: string, prefixBytes = 0): string | undefined {
  if (text.includes("\0")) return "contains a NUL character";
  if (!text.isWellFormed()) return "is not valid Unicode text";
  const bytes = byteLength(text) + prefixBytes;
  return bytes > EXEC_STRING_MAX_BYTES
    ? `is ${bytes} bytes long; the kernel takes at most ${EXEC_STRING_MAX_BYTES}`
    : undefined;
}

/** Returns the problem of a program and its arguments; `undefined` if there is none. */
export function argvProblem(argv: readonly string[]): ExecProblem | undefined {
  if (argv.length === 0) return { field: "", message: "is empty; give a program" };
  if (argv[0] === "") return { field: "0", message: "is empty; give a program" };
  for (const [index, argument] of argv.entries()) {
    const message = execStringProblem(argument);
    if (message !== undefined) return { field: String(index), message };
  }
  return totalProblem(argvBytes(argv));
}

/** Returns the problem of an environment; `undefined` if there is none. */
export function envProblem(env: Readonly<Record<string, string>>): ExecProblem | undefined {
  for (const [name, value] of Object.entries(env)) {
    const message = envNameProblem(name) ?? execStringProblem(value, name.length + 1);
    if (message !== undefined) return { field: name, message };
  }
  return totalProblem(envBytes(env));
}

/** Returns the problem of `argv` and `env` together, after each has passed its own check. */
export function execTotalProblem(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): ExecProblem | undefined {
  return totalProblem(argvBytes(argv) + envBytes(env));
}

function argvBytes(argv: readonly string[]): number {
  let bytes = 0;
  for (const argument of argv) bytes += byteLength(argument) + STRING_OVERHEAD_BYTES;
  return bytes;
}

function envBytes(env: Readonly<Record<string, string>>): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(env)) {
    bytes += byteLength(name) + 1 + byteLength(value) + STRING_OVERHEAD_BYTES;
  }
  return bytes;
}

function totalProblem(bytes: number): ExecProblem | undefined {
  return bytes > EXEC_TOTAL_MAX_BYTES
    ? {
      field: "",
      message: `takes ${bytes} bytes; at most ${EXEC_TOTAL_MAX_BYTES} are allowed, ` +
        "pass large data in a file",
    }
    : undefined;
}

function byteLength(text: string): number {
  return encoder.encode(text).byteLength;
}
