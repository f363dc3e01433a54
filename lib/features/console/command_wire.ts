/**
 * The messages about commands.
 *
 * A command without arguments is a line for a shell. A script comes as a variable of a shell that
 * reads its standard input, to which the sender has nothing connected.
 *
 * @module
 */
import * as v from "valibot";
import { isPosixShell } from "@lib/spine/spec/script.ts";
import { type ConsoleRequest, lineOf, type RequestedFor } from "@lib/features/console/allowance.ts";

/** A command that the console sends. */
export interface Dispatch extends RequestedFor {
  readonly id: string;
  readonly work: DispatchedWork;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** The program, or the text for a shell. */
export type DispatchedWork =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "argv"; readonly argv: readonly string[] }
  | { readonly kind: "script"; readonly text: string; readonly shell: string };

/** A message as it was read. */
export type ReadDispatch =
  | { readonly kind: "command"; readonly command: Dispatch }
  /** Without an id it cannot be answered. */
  | { readonly kind: "unusable"; readonly id: string | undefined; readonly reason: string };

/** The answer to a command. */
export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  /** -1: no program has exited. */
  readonly exitCode: number;
  readonly durationMs: number;
}

const SHELL = "/bin/bash";
const SCRIPT_VARIABLE = "SINDRI_SCRIPT_B64";
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 3_600_000;
const MAX_ENTRIES = 256;

const id = v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,128}$/));
const words = v.nullish(v.pipe(v.array(v.string()), v.maxLength(MAX_ENTRIES)), []);
const schema = v.object({
  command_id: id,
  command: v.pipe(v.string(), v.minLength(1)),
  args: words,
  env: words,
  timeout_ms: v.nullish(v.number()),
  project: v.nullish(v.string()),
  user: v.nullish(v.string()),
});

/** Reads a message. */
export function readDispatch(payload: unknown): ReadDispatch {
  const parsed = v.safeParse(schema, payload);
  if (!parsed.success) {
    const named = v.safeParse(v.object({ command_id: id }), payload);
    const [issue] = parsed.issues;
    return {
      kind: "unusable",
      id: named.success ? named.output.command_id : undefined,
      reason: `Cannot use the command: its field ${v.getDotPath(issue) ?? "payload"} is invalid`,
    };
  }
  const { command_id, command, args, project, user } = parsed.output;
  const unusable = (reason: string): ReadDispatch => ({ kind: "unusable", id: command_id, reason });
  const env = new Map<string, string>();
  for (const [index, pair] of parsed.output.env.entries()) {
    const equals = pair.indexOf("=");
    if (equals < 1) {
      return unusable(`Cannot use the command: its variable ${index + 1} has no name`);
    }
    env.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  const script = env.get(SCRIPT_VARIABLE);
  env.delete(SCRIPT_VARIABLE);
  const work = script === undefined
    ? args.length === 0
      ? { kind: "line", text: command } as const
      : { kind: "argv", argv: [command, ...args] } as const
    : readScript(script, command, args);
  if ("problem" in work) return unusable(`Cannot use the script: ${work.problem}`);
  return {
    kind: "command",
    command: {
      id: command_id,
      work,
      env: Object.fromEntries(env),
      timeoutMs: timeoutOf(parsed.output.timeout_ms ?? 0),
      ...(project ? { project } : {}),
      ...(user ? { user } : {}),
    },
  };
}

function readScript(encoded: string, shell: string, args: readonly string[]) {
  const isInput = args.length === 0 || (args.length === 1 && args[0] === "-s");
  if (!shell.startsWith("/") || !isPosixShell(shell) || !isInput) {
    return { problem: `only a shell by its path, such as ${SHELL}, with -s runs one` };
  }
  try {
    const bytes = Uint8Array.fromBase64(encoded);
    return {
      kind: "script",
      text: new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      shell,
    } as const;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return { problem: `${SCRIPT_VARIABLE} is not UTF-8 text in Base64` };
  }
}

function timeoutOf(ms: number): number {
  return ms > 0 ? Math.max(1, Math.floor(Math.min(ms, MAX_TIMEOUT_MS))) : DEFAULT_TIMEOUT_MS;
}

/** Returns what a command needs to be allowed. */
export function neededFor({ work, env }: Dispatch): ConsoleRequest {
  const hasVariables = Object.keys(env).length > 0;
  switch (work.kind) {
    case "script":
      return { kind: "script" };
    case "line":
      return { kind: "command", line: work.text, hasVariables };
    case "argv":
      return { kind: "command", line: lineOf(work.argv), hasVariables };
  }
}

/** Returns the part of a job's request that says what to run. */
export function jobWorkOf(work: DispatchedWork): Readonly<Record<string, unknown>> {
  switch (work.kind) {
    case "script":
      return { script: work.text, shell: work.shell, errexit: false };
    case "line":
      return { command: [SHELL, "-c", work.text] };
    case "argv":
      return { command: work.argv };
  }
}

/** Makes the payload of an answer; every field is needed, as a missing code counts as success. */
export function resultPayload(
  commandId: string,
  { stdout, stderr, exitCode, durationMs }: CommandResult,
): Record<string, unknown> {
  return {
    command_id: commandId,
    stdout,
    stderr,
    exit_code: exitCode,
    duration_ms: Math.max(0, Math.round(durationMs)),
  };
}
