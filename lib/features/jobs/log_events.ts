/**
 * A log as server-sent events.
 *
 * The data of a `log` event is JSON `{"text": …}` and its id the offset after the text, so that
 * `Last-Event-ID` resumes without loss or repetition. Characters are never split. The last event is
 * `end`, with the job's state and exit code.
 *
 * @module
 */
import type { Job } from "@lib/spine/jobs/model.ts";
import type { LogReading } from "@lib/spine/logs/log_reader.ts";

/** Converts chunks of a log into events. @param end Reads the job once its log has ended. */
export async function* toLogEvents(
  reading: LogReading,
  end: () => Job,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  // A byte order mark is text like any other.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let rest = new Uint8Array();
  // Notes about the log have no offsets, so only the reading knows its place.
  const id = () => reading.offset - rest.length;
  const event = (text: string) =>
    encoder.encode(`event: log\nid: ${id()}\ndata: ${JSON.stringify({ text })}\n\n`);
  for await (const chunk of reading) {
    const bytes = rest.length === 0 ? chunk : joined(rest, chunk);
    const whole = bytes.length - unfinishedBytes(bytes);
    rest = bytes.slice(whole);
    if (whole === 0) continue;
    yield event(decoder.decode(bytes.subarray(0, whole)));
  }
  if (rest.length > 0) {
    const text = decoder.decode(rest);
    rest = new Uint8Array();
    yield event(text);
  }
  const { state, reason = null, exitCode = null } = end();
  const data = JSON.stringify({ state, reason, exit_code: exitCode });
  yield encoder.encode(`event: end\nid: ${id()}\ndata: ${data}\n\n`);
}

/** Counts the bytes at the end that belong to an incomplete UTF-8 character. */
function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
