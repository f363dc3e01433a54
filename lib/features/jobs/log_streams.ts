/**
 * A job's log as an answer that goes on: as text, or as server-sent events.
 *
 * An answer that ends before the log does, while its client listens, says so and how to resume: a
 * runner that stops is no broken transfer. The exception is a client that accepts `text/plain` and
 * nothing else, such as our command line: it counts bytes, so its transfer breaks.
 *
 * @module
 */
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { LogReading } from "@lib/spine/logs/log_reader.ts";

/** The end of an answer before the end of what it tells. */
export interface Interruption {
  /** An error code, such as `runner_stopping`. */
  readonly reason: string;
  readonly job: Job["id"];
  /** The byte of the log at which to go on. */
  readonly offset: number;
  /** Method and path that go on there. */
  readonly resume: string;
}

/** Returns why an answer ends early. @throws `error` itself if the client has gone. */
export function interruptedBy(error: unknown, signal: AbortSignal, log: Logger): string {
  // The abort by a client that disconnects has no code.
  if (signal.aborted && !(signal.reason instanceof CicdError)) throw error;
  const { code } = toCicdError(signal.aborted ? signal.reason : error);
  if (code !== "runner_stopping" && code !== "unauthorized") {
    log.error("An answer was interrupted", { error });
  }
  return code;
}

/** Options for {@linkcode toText} and {@linkcode toLogEvents}. */
export interface AnswerOptions {
  /** Describes an interruption at an offset. @throws `error` itself to break the answer. */
  readonly interrupted: (error: unknown, offset: number) => Interruption;
}

/** Yields a log, then a line about its end. @param options.last Makes a line for the job's end. */
export async function* toText(
  reading: LogReading,
  { interrupted, last }: AnswerOptions & { readonly last?: () => string },
): AsyncGenerator<Uint8Array> {
  let endsWithNewline = true;
  const line = (text: string) =>
    new TextEncoder().encode(`${endsWithNewline ? "" : "\n"}${text}\n`);
  try {
    for await (const chunk of reading) {
      endsWithNewline = chunk.at(-1) === NEWLINE;
      yield chunk;
    }
  } catch (error) {
    const { reason, job, offset, resume } = interrupted(error, reading.offset);
    const text = `cicd-interrupted reason=${reason} job=${job} offset=${offset} resume="${resume}"`;
    return yield line(text);
  }
  if (last !== undefined) yield line(last());
}

const NEWLINE = 10;

/**
 * Converts chunks of a log into server-sent events.
 *
 * The data of a `log` event is JSON `{"text": …}` and its id the offset after the text, so that
 * `Last-Event-ID` resumes without loss or repetition. Characters are never split. The last event is
 * `end`, with the job's state and exit code, or `interrupted`.
 *
 * @param options.end Reads the job once its log has ended.
 */
export async function* toLogEvents(
  reading: LogReading,
  { interrupted, end }: AnswerOptions & { readonly end: () => Job },
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  // A byte order mark is text like any other.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let rest = new Uint8Array();
  // Notes about the log have no offsets, so only the reading knows its place.
  const id = () => reading.offset - rest.length;
  const event = (name: string, data: object) =>
    encoder.encode(`event: ${name}\nid: ${id()}\ndata: ${JSON.stringify(data)}\n\n`);
  try {
    for await (const chunk of reading) {
      const bytes = rest.length === 0 ? chunk : joined(rest, chunk);
      const whole = bytes.length - unfinishedBytes(bytes);
      rest = bytes.slice(whole);
      if (whole === 0) continue;
      yield event("log", { text: decoder.decode(bytes.subarray(0, whole)) });
    }
  } catch (error) {
    return yield event("interrupted", interrupted(error, id()));
  }
  if (rest.length > 0) {
    const text = decoder.decode(rest);
    rest = new Uint8Array();
    yield event("log", { text });
  }
  const { state, reason = null, exitCode = null } = end();
  yield event("end", { state, reason, exit_code: exitCode });
}

/** Counts the bytes at the end that belong to an incomplete UTF-8 character. */
export function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/** Returns two chunks as one. */
export function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
