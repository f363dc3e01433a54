/**
 * The messages about terminals.
 *
 * @module
 */
import * as v from "valibot";
import type { RequestedFor } from "@lib/features/console/allowance.ts";

/** The size of a terminal. */
export interface ConsoleSize {
  readonly columns: number;
  readonly rows: number;
}

/** A message about a terminal. */
export type TerminalRequest =
  & { readonly session: string }
  & (
    | CreateRequest
    | { readonly kind: "input"; readonly bytes: Uint8Array }
    | ({ readonly kind: "resize" } & ConsoleSize)
    | { readonly kind: "close" }
  );

/** A terminal to open. */
export interface CreateRequest extends ConsoleSize, RequestedFor {
  readonly kind: "create";
  /** The program to run; absent: the default. */
  readonly shell?: string;
}

/** A message as it was read. */
export type ReadTerminalRequest =
  | { readonly kind: "request"; readonly request: TerminalRequest }
  /** Without a session it cannot be answered. */
  | { readonly kind: "unusable"; readonly session: string | undefined; readonly reason: string };

/** The messages of terminals. */
export const TERMINAL_TYPES = [
  "terminal:create",
  "terminal:input",
  "terminal:resize",
  "terminal:close",
] as const;

const MAX_CELLS = 1_000;

const session_id = v.pipe(v.string(), v.minLength(1), v.maxLength(128));
const cells = (usual: number) =>
  v.pipe(
    v.nullish(v.number(), 0),
    // 0 stands for an unknown size.
    v.transform((count) => count >= 1 ? Math.min(Math.floor(count), MAX_CELLS) : usual),
  );
const size = { cols: cells(80), rows: cells(24) };

const schemas = {
  "terminal:create": v.pipe(
    v.object({
      session_id,
      ...size,
      shell: v.nullish(v.pipe(v.string(), v.regex(/^(\/[^\0]{1,4095})?$/))),
      project: v.nullish(v.string()),
      user: v.nullish(v.string()),
    }),
    v.transform(({ session_id, cols, rows, shell, project, user }): TerminalRequest => ({
      kind: "create",
      session: session_id,
      columns: cols,
      rows,
      ...(shell ? { shell } : {}),
      ...(project ? { project } : {}),
      ...(user ? { user } : {}),
    })),
  ),
  "terminal:input": v.pipe(
    v.object({
      session_id,
      data: v.pipe(
        v.string(),
        v.rawTransform(({ dataset, addIssue, NEVER }) => {
          try {
            return Uint8Array.fromBase64(dataset.value);
          } catch (error) {
            if (!(error instanceof SyntaxError)) throw error;
            addIssue({ message: "is not Base64" });
            return NEVER;
          }
        }),
      ),
    }),
    v.transform(({ session_id, data }): TerminalRequest => ({
      kind: "input",
      session: session_id,
      bytes: data,
    })),
  ),
  "terminal:resize": v.pipe(
    v.object({ session_id, ...size }),
    v.transform(({ session_id, cols, rows }): TerminalRequest => ({
      kind: "resize",
      session: session_id,
      columns: cols,
      rows,
    })),
  ),
  "terminal:close": v.pipe(
    v.object({ session_id }),
    v.transform(({ session_id }): TerminalRequest => ({ kind: "close", session: session_id })),
  ),
};

/** Reads a message of one of {@linkcode TERMINAL_TYPES}. */
export function readTerminalRequest(type: string, payload: unknown): ReadTerminalRequest {
  const known = TERMINAL_TYPES.find((each) => each === type);
  if (known === undefined) {
    return { kind: "unusable", session: undefined, reason: "Cannot use a message of this type" };
  }
  const parsed = v.safeParse(schemas[known], payload);
  if (parsed.success) return { kind: "request", request: parsed.output };
  const [issue] = parsed.issues;
  const named = v.safeParse(v.object({ session_id }), payload);
  const field = v.getDotPath(issue) ?? "payload";
  return {
    kind: "unusable",
    session: named.success ? named.output.session_id : undefined,
    reason: `Cannot use a message of a terminal: its field ${field} is invalid`,
  };
}

/** Makes the payload of output. */
export function outputPayload(session: string, bytes: Uint8Array): Record<string, unknown> {
  return { session_id: session, data: bytes.toBase64() };
}

/** Makes the payload of an end; a code is needed, as a missing one counts as success. */
export function closedPayload(
  session: string,
  { exitCode, reason }: { readonly exitCode: number; readonly reason?: string | undefined },
): Record<string, unknown> {
  return {
    session_id: session,
    exit_code: exitCode,
    ...(reason === undefined ? {} : { reason }),
  };
}
