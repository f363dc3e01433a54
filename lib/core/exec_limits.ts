/**
 * What the kernel takes as arguments and environment of a program, checked
 * before a job is accepted rather than when `execve` fails with `E2BIG`.
 *
 * @module
 */

/** Longest single argument or `NAME=value`, in bytes: `MAX_ARG_STRLEN` less its NUL. */
export const EXEC_STRING_MAX_BYTES = 128 * 1024 - 1;

/**
 * Largest argv and environment together, in bytes, pointers counted.
 *
 * The kernel grants a quarter of the stack limit, 2 MiB of the usual 8. The
 * rest is left for what the suite adds and for what shells put in front.
 */
export const EXEC_TOTAL_MAX_BYTES = 1024 * 1024;

/** Longest name of an environment variable, in bytes. */
export const ENV_NAME_MAX_BYTES = 256;

/** Each string also costs a pointer and its NUL. */
const STRING_OVERHEAD_BYTES = 9;

const encoder = new TextEncoder();

/** What is wrong with one argument or variable. */
export interface ExecProblem {
  /** The index of the argument, the name of the variable, or empty for the whole. */
  readonly field: string;
  /** Continues a sentence whose subject is the field. */
  readonly message: string;
}

/** Says what is wrong with a variable's name; `undefined` if nothing is. */
export function envNameProblem(name: string): string | undefined {
  if (name === "") return "has no name";
  if (name.includes("=")) return "contains '='; a name ends there";
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return "is no variable name; use letters, digits and '_', and begin with no digit";
  }
  if (name.length > ENV_NAME_MAX_BYTES) {
    return `is ${name.length} characters long; at most ${ENV_NAME_MAX_BYTES} are allowed`;
  }
  return undefined;
}

/** Says what is wrong with one text for `execve`; `undefined` if nothing is. */
export function execStringProblem(text: string, prefixBytes = 0): string | undefined {
  if (text.includes("\0")) return "contains a NUL character";
  if (!text.isWellFormed()) return "is no valid Unicode text";
  const bytes = byteLength(text) + prefixBytes;
  return bytes > EXEC_STRING_MAX_BYTES
    ? `is ${bytes} bytes long; the kernel takes at most ${EXEC_STRING_MAX_BYTES}`
    : undefined;
}

/** Says what is wrong with a program and its arguments; `undefined` if nothing is. */
export function argvProblem(argv: readonly string[]): ExecProblem | undefined {
  if (argv.length === 0) return { field: "", message: "is empty; give a program" };
  if (argv[0] === "") return { field: "0", message: "is empty; give a program" };
  for (const [index, argument] of argv.entries()) {
    const message = execStringProblem(argument);
    if (message !== undefined) return { field: String(index), message };
  }
  return totalProblem(argvBytes(argv));
}

/** Says what is wrong with an environment; `undefined` if nothing is. */
export function envProblem(env: Readonly<Record<string, string>>): ExecProblem | undefined {
  for (const [name, value] of Object.entries(env)) {
    const message = envNameProblem(name) ?? execStringProblem(value, name.length + 1);
    if (message !== undefined) return { field: name, message };
  }
  return totalProblem(envBytes(env));
}

/**
 * Says whether `argv` and `env` fit together; each must have passed its own check.
 *
 * @returns `undefined` if they fit.
 */
export function execTotalProblem(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): ExecProblem | undefined {
  return totalProblem(argvBytes(argv) + envBytes(env));
}

/** Bytes that `argv` takes of the kernel's bound. */
export function argvBytes(argv: readonly string[]): number {
  let bytes = 0;
  for (const argument of argv) bytes += byteLength(argument) + STRING_OVERHEAD_BYTES;
  return bytes;
}

/** Bytes that `env` takes of the kernel's bound. */
export function envBytes(env: Readonly<Record<string, string>>): number {
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
