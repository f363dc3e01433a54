/**
 * Recordings of terminals: asciicast v2, a JSON document a line.
 *
 * @module
 */

/** A recording. */
export interface Recording {
  readonly columns: number;
  readonly rows: number;
  readonly title: string;
  /** In order: what was shown, and marks at the beginning of each command. */
  readonly events: readonly RecordedEvent[];
}

/** Something that was shown (`o`), or a mark with its label (`m`). */
export interface RecordedEvent {
  readonly atMs: number;
  readonly kind: "o" | "m";
  readonly text: string;
}

/** Players shorten longer pauses to this; the times in the file stay those of the recording. */
const IDLE_LIMIT_SECONDS = 1.5;

/** Writes a recording. */
export function writeCast({ columns, rows, title, events }: Recording): string {
  const header = { version: 2, width: columns, height: rows, title };
  const lines = events.map(({ atMs, kind, text }) => [Math.round(atMs) / 1_000, kind, text]);
  return [{ ...header, idle_time_limit: IDLE_LIMIT_SECONDS }, ...lines]
    .map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** Reads a recording that {@linkcode writeCast} wrote. @throws {SyntaxError} If it is none. */
export function parseCast(text: string): Recording {
  const [header, ...lines] = text.trimEnd().split("\n").map((line): unknown => JSON.parse(line));
  const { width, height, title } = fieldsOf(header);
  if (typeof width !== "number" || typeof height !== "number" || typeof title !== "string") {
    throw new SyntaxError("A recording begins with its size and title");
  }
  return { columns: width, rows: height, title, events: lines.map(parseEvent) };
}

function parseEvent(line: unknown): RecordedEvent {
  const [at, kind, text] = Array.isArray(line) ? line : [];
  if (typeof at !== "number" || (kind !== "o" && kind !== "m") || typeof text !== "string") {
    throw new SyntaxError(`No event of a recording: ${JSON.stringify(line)}`);
  }
  return { atMs: at * 1_000, kind, text };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
