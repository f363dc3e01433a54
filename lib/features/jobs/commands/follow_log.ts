/**
 * Following a log to the job's end, across every break of the connection: no
 * byte is lost, none comes twice.
 *
 * @module
 */
import { hasEnded, type JobAnswer } from "@lib/api/client/jobs.ts";
import type { Reconnect } from "@lib/api/client/reconnect.ts";
import { type ByteStream, ConnectionLostError } from "@lib/api/client/transport.ts";
import { type ByteCounter, plainCounter } from "@lib/features/jobs/commands/stamped_counter.ts";

/** A job and its log, as far as following needs them. */
export interface FollowPort {
  /** Opens the log from a byte on; ends when the job has, or the runner stops. */
  follow(offset: number): Promise<ByteStream>;
  /** Opens what there is of the log from a byte on; `undefined` if there is nothing. */
  rest(offset: number): Promise<ByteStream | undefined>;
  job(): Promise<JobAnswer>;
}

/** Options for {@linkcode followLog}. */
export interface FollowOptions {
  readonly port: FollowPort;
  /** Offset of the first byte wanted. @default {0} */
  readonly from?: number;
  readonly reconnect: Reconnect;
  /** Gets the bytes; the next ones are asked for when it resolves. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Tells how many bytes of the log a piece stands for. @default {plainCounter} */
  readonly counter?: ByteCounter;
}

/**
 * Follows a log until the job has ended and its last byte is written.
 *
 * A stream that ends well is no proof of that, as a runner that stops ends it
 * too: the job must have ended, and nothing may be left behind the last byte.
 *
 * @returns The ended job.
 * @throws What `write` throws, what the runner refuses, or the loss of the
 * connection if it lasts.
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
        const message = "Cannot go on with the log: the runner has ended it before the job";
        throw new ConnectionLostError(message, { isListening: true });
      }
      while (await copyRest(place, options, counter)) reconnect.progressed();
      return job;
    } catch (error) {
      await reconnect.afterFailure(error);
    }
  }
}

/** Copies what is left; `false` if there was nothing. */
async function copyRest(
  place: { offset: number },
  options: FollowOptions,
  counter: ByteCounter,
): Promise<boolean> {
  using rest = await options.port.rest(place.offset);
  if (rest === undefined) return false;
  await copy(rest, place, options, counter);
  const { bytes, consumed } = counter.flush();
  if (bytes.length > 0) await options.write(bytes);
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
    if (bytes.length > 0) await write(bytes);
    place.offset += consumed;
  }
}
