/**
 * Following a log to the job's end, across broken connections: no byte is lost or repeated.
 *
 * @module
 */
import { hasEnded, type JobAnswer } from "@lib/api/client/jobs.ts";
import { joined } from "@lib/features/jobs/log_streams.ts";
import type { Reconnect } from "@lib/api/client/reconnect.ts";
import { type ByteStream, ConnectionLostError } from "@lib/api/client/transport.ts";

/** Counts the bytes of a log in the received chunks. */
export interface ByteCounter {
  /** A stream begins after the last byte counted: bytes that were held back come again. */
  begin(): void;
  take(chunk: Uint8Array): CountedBytes;
  /** The stream is complete: bytes that were held back are no time stamp. */
  flush(): CountedBytes;
}

/** The part of a chunk that may be written. */
export interface CountedBytes {
  readonly bytes: Uint8Array;
  /** Bytes of the log that they stand for. */
  readonly consumed: number;
}

/** Counts a log without time stamps. */
export function plainCounter(): ByteCounter {
  return {
    take: (chunk) => ({ bytes: chunk, consumed: chunk.length }),
    begin() {},
    flush: () => ({ bytes: new Uint8Array(), consumed: 0 }),
  };
}

const NEWLINE = 10;
/** `2026-01-02T03:04:05.678Z `, which the runner puts before each line. */
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z $/;
const STAMP_BYTES = 25;

/**
 * Counts a log whose lines begin with time stamps, which are not part of the log.
 *
 * A stamp is held back until a byte of its line has arrived: after a broken connection, both come
 * again.
 */
export function stampedCounter(): ByteCounter {
  let held = new Uint8Array();
  /** A stream that begins within a line has no stamp before its first byte. */
  let line: "unknown" | "start" | "within" = "unknown";
  return {
    take(chunk) {
      const bytes = held.length === 0 ? chunk : joined(held, chunk);
      held = new Uint8Array();
      let consumed = 0;
      let at = 0;
      while (at < bytes.length) {
        if (line !== "within") {
          if (bytes.length - at <= STAMP_BYTES) {
            held = bytes.slice(at);
            break;
          }
          const stamp = new TextDecoder().decode(bytes.subarray(at, at + STAMP_BYTES));
          if (line === "start" || STAMP.test(stamp)) at += STAMP_BYTES;
          line = "within";
        }
        const newline = bytes.indexOf(NEWLINE, at);
        const end = newline < 0 ? bytes.length : newline + 1;
        consumed += end - at;
        at = end;
        if (newline >= 0) line = "start";
      }
      return { bytes: bytes.subarray(0, at), consumed };
    },
    begin() {
      held = new Uint8Array();
    },
    flush() {
      // At the start of a line they are the beginning of a stamp whose line has yet to arrive.
      const bytes = line === "unknown" ? held : new Uint8Array();
      held = new Uint8Array();
      if (bytes.length > 0) line = "within";
      return { bytes, consumed: bytes.length };
    },
  };
}

/** Access to a job and its log. */
export interface FollowPort {
  /** Opens the log from a byte on; it ends when the job ends or the runner stops. */
  follow(offset: number): Promise<ByteStream>;
  /** Opens the current rest of the log from a byte on; `undefined` if there is none. */
  rest(offset: number): Promise<ByteStream | undefined>;
  job(): Promise<JobAnswer>;
}

/** Options for {@linkcode followLog}. */
export interface FollowOptions {
  readonly port: FollowPort;
  /** Offset of the first byte wanted. @default {0} */
  readonly from?: number;
  readonly reconnect: Reconnect;
  /** Receives the bytes and their offset; the next ones are read when it resolves. */
  readonly write: (bytes: Uint8Array, offset: number) => Promise<void>;
  /** @default {plainCounter} */
  readonly counter?: ByteCounter;
}

/**
 * Follows a log until the job has ended and its last byte is written.
 *
 * A stream that ends cleanly is no proof, as a stopping runner ends it too: the job must have
 * ended, and nothing may follow the last byte.
 *
 * @returns The ended job.
 * @throws What `write` throws, a refusal of the runner, or a connection loss that lasts.
 */
export async function followLog(options: FollowOptions): Promise<JobAnswer> {
  const { port, reconnect, counter = plainCounter() } = options;
  const place = { offset: options.from ?? 0 };
  while (true) {
    try {
      using stream = await port.follow(place.offset);
      reconnect.found();
      await copy(stream, place, options, counter);
      const job = await port.job();
      if (!hasEnded(job)) {
        const message = "Cannot follow the log: the runner ended it before the job";
        throw new ConnectionLostError(message, { isListening: true });
      }
      while (await copyRest(place, options, counter)) reconnect.progressed();
      return job;
    } catch (error) {
      await reconnect.afterFailure(error);
    }
  }
}

/** Copies the rest; `false` if there was none. */
async function copyRest(
  place: { offset: number },
  options: FollowOptions,
  counter: ByteCounter,
): Promise<boolean> {
  using rest = await options.port.rest(place.offset);
  if (rest === undefined) return false;
  await copy(rest, place, options, counter);
  const { bytes, consumed } = counter.flush();
  if (bytes.length > 0) await options.write(bytes, place.offset);
  place.offset += consumed;
  return true;
}

async function copy(
  { body }: ByteStream,
  place: { offset: number },
  { reconnect, write }: FollowOptions,
  counter: ByteCounter,
): Promise<void> {
  counter.begin();
  for await (const chunk of body) {
    reconnect.progressed();
    const { bytes, consumed } = counter.take(chunk);
    if (bytes.length > 0) await write(bytes, place.offset);
    place.offset += consumed;
  }
}
