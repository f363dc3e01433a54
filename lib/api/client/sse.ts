/**
 * Parses server-sent events (WHATWG HTML, section 9.2.6).
 *
 * @module
 */
import { readLines } from "@lib/core/lines.ts";

/** Longest line of a stream; a job with its spec is one line. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** An event; one without data only sets the resume position. */
export interface ServerSentEvent {
  /** @default {"message"} */
  readonly event: string;
  readonly data: string;
  /** The id that resumes after this event; `undefined` before the first id. */
  readonly id: string | undefined;
}

/**
 * Yields events as they arrive. Comments and a truncated last event are dropped.
 *
 * @throws {RangeError} If a line is too long.
 */
export async function* readServerSentEvents(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  let id: string | undefined;
  let event = "";
  let gotId = false;
  let data: string[] = [];
  for await (const raw of readLines(source, { maxBytes: MAX_LINE_BYTES })) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line === "") {
      if (data.length > 0 || gotId) {
        yield { event: event || "message", data: data.join("\n"), id };
      }
      gotId = false;
      event = "";
      data = [];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    switch (field) {
      case "event":
        event = value;
        break;
      case "data":
        data.push(value);
        break;
      case "id":
        if (!value.includes("\0")) {
          id = value;
          gotId = true;
        }
        break;
    }
  }
}
