/**
 * The program that runs a script: its `#!` line, or a shell.
 *
 * The line is read as the kernel reads it: an interpreter and at most one argument. The script itself
 * is never executed, so it may be on a file system without execution.
 *
 * @module
 */

/** A script and its interpreter. */
export interface ScriptWork {
  readonly kind: "script";
  readonly text: string;
  /** The interpreter: the shell, or that of the `#!` line. */
  readonly shell: string;
  /** The argument of the `#!` line. */
  readonly args?: readonly string[] | undefined;
  /** Runs the shell with `-e`; absent from jobs of earlier releases. */
  readonly errexit?: boolean | undefined;
}

/** Options for {@linkcode scriptWork}. */
export interface ScriptOptions {
  /** The shell of the request, which overrides a `#!` line. */
  readonly shell: string | undefined;
  readonly defaultShell: string;
  readonly errexit: boolean | undefined;
}

/** Chooses what runs a script; `set -e` applies to shells without a `#!` line. */
export function scriptWork(
  text: string,
  { shell, defaultShell, errexit }: ScriptOptions,
): ScriptWork {
  const [interpreter, ...args] = shebangOf(text) ?? [];
  if (shell === undefined && interpreter !== undefined) {
    return { kind: "script", text, shell: interpreter, ...(args.length === 0 ? {} : { args }) };
  }
  const chosen = shell ?? defaultShell;
  const exits = isPosixShell(chosen) && (errexit ?? interpreter === undefined);
  return { kind: "script", text, shell: chosen, errexit: exits };
}

/** Returns the command line that runs a script at a path. */
export function scriptArgv(
  { shell, args = [], errexit = false }: ScriptWork,
  path: string,
): readonly string[] {
  return [shell, ...args, ...(errexit ? ["-e"] : []), path];
}

/** Returns the start of a command line for a POSIX shell, if one runs the script. */
export function posixShellOf({ shell, args = [] }: ScriptWork): readonly string[] | undefined {
  if (isPosixShell(shell)) return [shell];
  const [name = ""] = args;
  return /(^|\/)env$/.test(shell) && isPosixShell(name) ? [shell, name] : undefined;
}

/** Tells if a program is a shell that understands `-e` and `-c`. */
export function isPosixShell(program: string): boolean {
  return /^(\S*\/)?(sh|ash|bash|dash|ksh|mksh|zsh)$/.test(program);
}

/** Returns the problem of a script's `#!` line; `undefined` if it has none. */
export function shebangProblem(text: string): string | undefined {
  if (text.startsWith("\ufeff#!")) {
    return "begins with a byte order mark before its `#!` line; save it as UTF-8 without one";
  }
  const words = shebangOf(text);
  if (words === undefined) return undefined;
  if (firstLine(text).endsWith("\r")) {
    return "has a `#!` line that ends in CRLF; save it with Unix line ends (LF)";
  }
  const [interpreter = ""] = words;
  return interpreter.startsWith("/")
    ? undefined
    : `has a \`#!\` line that ${
      interpreter === "" ? "names no interpreter" : `names "${interpreter.slice(0, 100)}"`
    }; give an absolute path, such as #!/bin/sh or #!/usr/bin/env bash`;
}

/** Returns the interpreter of a `#!` line and its argument; `undefined` without such a line. */
export function shebangOf(text: string): readonly [string, ...string[]] | undefined {
  if (!text.startsWith("#!")) return undefined;
  const line = firstLine(text).slice(2).replace(/^[ \t]+|[ \t]+$/g, "");
  const at = line.search(/[ \t]/);
  return at < 0 ? [line] : [line.slice(0, at), line.slice(at).replace(/^[ \t]+/, "")];
}

function firstLine(text: string): string {
  const end = text.indexOf("\n");
  return end < 0 ? text : text.slice(0, end);
}
