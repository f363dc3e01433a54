/**
 * The messages of a terminal's WebSocket: binary frames are bytes of the terminal, text frames are
 * the JSON of these types. Both parts of the way, client to runner and runner to agent, are alike.
 *
 * @module
 */
import * as v from "valibot";
import { type JobId, parseJobId } from "@lib/core/ids.ts";
import type { TerminalSize } from "@lib/foundations/terminal/pty.ts";

/** Longest frame that a client may send; more at once gets the close code 1009. */
export const INPUT_MAX_BYTES = 64 * 1024;
/** Longest frame that an agent sends. */
export const OUTPUT_MAX_BYTES = 16 * 1024 * 1024;

/** Columns or rows. */
export const cells = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1_000));

const requestSchema = v.variant("type", [
  v.object({ type: v.literal("resize"), columns: cells, rows: cells }),
  v.object({ type: v.literal("take") }),
]);

/** A text frame of a client. */
export type TerminalRequest = v.InferOutput<typeof requestSchema>;

/** Parses a text frame of a client; `undefined` if it is none of the known ones. */
export function parseRequest(text: string): TerminalRequest | undefined {
  const parsed = v.safeParse(requestSchema, jsonOf(text));
  return parsed.success ? parsed.output : undefined;
}

/** The rights of a viewer. */
export type ViewerRole = "writer" | "viewer";

const exitReason = v.picklist(["exited", "killed", "idle", "time_limit", "lost"]);

/** The end of a terminal. */
export interface TerminalEnd {
  /** `null` if a signal or another reason ended it. */
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly reason: v.InferOutput<typeof exitReason>;
}

const nullable = <S extends v.GenericSchema>(schema: S) => v.nullable(schema);
const roleSchema = v.picklist(["writer", "viewer"]);

const messageSchema = v.variant("type", [
  v.object({
    type: v.literal("hello"),
    session: v.string(),
    role: roleSchema,
    columns: v.number(),
    rows: v.number(),
    viewers: v.number(),
    recording: v.boolean(),
  }),
  v.object({ type: v.literal("screen") }),
  v.object({ type: v.literal("size"), columns: v.number(), rows: v.number() }),
  v.object({ type: v.literal("role"), role: roleSchema, viewers: v.number() }),
  v.object({ type: v.literal("notice"), code: v.string(), text: v.string() }),
  v.object({
    type: v.literal("exit"),
    exit_code: nullable(v.number()),
    signal: nullable(v.string()),
    reason: exitReason,
    text: v.string(),
  }),
]);

/**
 * A text frame to a client.
 *
 * `screen` precedes the bytes that draw the whole screen: a client clears its own first.
 */
export type TerminalMessage = v.InferOutput<typeof messageSchema>;

/** Parses a text frame to a client; `undefined` if it is of a newer agent. */
export function parseMessage(text: string): TerminalMessage | undefined {
  const parsed = v.safeParse(messageSchema, jsonOf(text));
  return parsed.success ? parsed.output : undefined;
}

const orderSchema = v.object({
  attempt: v.optional(v.object({
    jobId: v.pipe(v.string(), v.transform(parseJobId), v.custom<JobId>((id) => id !== undefined)),
    number: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(999_999)),
  })),
  session: v.optional(v.string()),
  command: v.array(v.string()),
  columns: cells,
  rows: cells,
  isReadOnly: v.boolean(),
  takes: v.boolean(),
  isRecorded: v.boolean(),
  scrollback: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(1_000)),
  by: v.string(),
  isOwned: v.optional(v.boolean()),
});

/** The request of the runner to an agent: a new terminal, or to join one. */
export interface TerminalOrder extends TerminalSize {
  /** The attempt of a job in whose place it is opened; absent: it is the project's. */
  readonly attempt?: { readonly jobId: JobId; readonly number: number } | undefined;
  /** The id of an open terminal, or a unique prefix; absent: a new one. */
  readonly session?: string | undefined;
  /** Program and arguments; empty: the account's shell. */
  readonly command: readonly string[];
  readonly isReadOnly: boolean;
  /** Becomes the writer even if there is one. */
  readonly takes: boolean;
  readonly isRecorded: boolean;
  /** Lines above the screen to draw, when joining. */
  readonly scrollback: number;
  /** The caller, for the journal and for the others. */
  readonly by: string;
  /** Of a new terminal: it ends a while after nobody is connected to it. */
  readonly isOwned?: boolean | undefined;
}

/** Parses an order. @throws {v.ValiError} If it is invalid. */
export function parseOrder(text: string): TerminalOrder {
  return v.parse(orderSchema, JSON.parse(text));
}

/** Parses JSON; `undefined` if it is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Returns how a terminal ended, to follow "the terminal". */
export function endText({ exit_code, signal, reason }: TerminalEnd): string {
  switch (reason) {
    case "exited":
      return exit_code !== null ? `exited with ${exit_code}` : `ended by ${signal ?? "?"}`;
    case "killed":
      return "killed";
    case "idle":
      return "ended: nobody used it for terminals.idle_timeout";
    case "time_limit":
      return "ended: it has reached terminals.max_duration";
    case "lost":
      return "ended: nobody knows how";
  }
}

/** Returns a text of a program or a person without what a terminal would obey, shortened. */
export function tame(text: string, max = 120): string {
  const shown = text.slice(0, 4 * max).replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, "\u{fffd}");
  return shown.length > max ? `${shown.slice(0, max - 1)}…` : shown;
}
