/**
 * The bytes under a bus connection: the socket, the authentication, and
 * cutting what arrives into messages.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { CicdError, ignore, messageOf } from "@lib/core/errors.ts";
import { messageLength, PREAMBLE_BYTES } from "@lib/foundations/systemd/dbus/message.ts";

/** The part of a socket that a connection uses. */
export interface ByteStream {
  /** Reads at least one byte; `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes a part, at least one byte. */
  write(bytes: Uint8Array): Promise<number>;
  /** Fails what is under way; may be called once. */
  close(): void;
}

/** Longest line of the authentication that is taken. */
const MAX_LINE_BYTES = 16_384;

/**
 * Connects to the first of the sockets that takes the connection.
 *
 * @throws {CicdError} `systemd_unavailable` if none does.
 */
export async function openSocket(
  paths: readonly string[],
  signal: AbortSignal,
): Promise<ByteStream> {
  const failures: string[] = [];
  for (const path of paths) {
    signal.throwIfAborted();
    try {
      const connecting = Deno.connect({ transport: "unix", path });
      try {
        return await raceAbort(connecting, signal);
      } catch (error) {
        void connecting.then((late) => late.close(), ignore("the failure is thrown below"));
        throw error;
      }
    } catch (error) {
      failures.push(`${path.replace("\0", "@")}: ${messageOf(error)}`);
    }
  }
  signal.throwIfAborted();
  throw new CicdError(
    "systemd_unavailable",
    `Cannot connect to the user's bus: ${failures.join("; ")}`,
  );
}

/** Writes all of the bytes. */
export async function writeAll(stream: ByteStream, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await stream.write(bytes.subarray(done));
}

/**
 * Authenticates by the socket's own credentials (SASL EXTERNAL).
 *
 * The identity is left to the kernel instead of being sent, so that it holds
 * across user namespaces and needs no right to learn the uid.
 *
 * @throws {CicdError} `systemd_unavailable` if the bus refuses.
 */
export async function authenticate(stream: ByteStream): Promise<void> {
  const encoder = new TextEncoder();
  await writeAll(stream, encoder.encode("\0AUTH EXTERNAL\r\nDATA\r\n"));
  let answer = await readLine(stream);
  if (answer === "DATA") answer = await readLine(stream);
  if (!/^OK [0-9a-f]+$/.test(answer)) {
    throw new CicdError(
      "systemd_unavailable",
      `Cannot authenticate with the user's bus: its answer is ${JSON.stringify(answer)}`,
    );
  }
  await writeAll(stream, encoder.encode("BEGIN\r\n"));
}

/** Reads one line, byte by byte: what follows the last one belongs to the messages. */
async function readLine(stream: ByteStream): Promise<string> {
  const byte = new Uint8Array(1);
  let line = "";
  while (!line.endsWith("\r\n")) {
    if (await stream.read(byte) === null) {
      throw new CicdError("systemd_unavailable", "Cannot authenticate: the bus hung up");
    }
    line += String.fromCharCode(byte[0] ?? 0);
    if (line.length > MAX_LINE_BYTES) {
      throw new CicdError("systemd_unavailable", "Cannot authenticate: the answer has no end");
    }
  }
  return line.slice(0, -2);
}

/** Cuts a stream of bytes into whole messages. */
export class FrameBuffer {
  #buffer = new Uint8Array(INITIAL_BYTES);
  #start = 0;
  #end = 0;

  /** Where to read the next bytes into; not empty. */
  space(): Uint8Array {
    if (this.#end === this.#buffer.length) this.#makeRoom();
    return this.#buffer.subarray(this.#end);
  }

  /** Says how many bytes were read into {@linkcode FrameBuffer.space}. */
  filled(count: number): void {
    this.#end += count;
  }

  /**
   * Takes the next whole message; valid until the next call of `space`.
   *
   * @returns `undefined` while it has not arrived in full.
   * @throws {CicdError} `systemd_unavailable` if no message begins here.
   */
  next(): Uint8Array | undefined {
    const arrived = this.#buffer.subarray(this.#start, this.#end);
    if (arrived.length < PREAMBLE_BYTES) return undefined;
    const length = messageLength(arrived);
    if (arrived.length < length) return undefined;
    this.#start += length;
    return arrived.subarray(0, length);
  }

  /** Moves what is left to the front; grows only for what has really arrived. */
  #makeRoom(): void {
    const left = this.#buffer.subarray(this.#start, this.#end);
    const size = Math.max(INITIAL_BYTES, left.length * 2);
    const target = size === this.#buffer.length ? this.#buffer : new Uint8Array(size);
    if (target === this.#buffer) target.copyWithin(0, this.#start, this.#end);
    else target.set(left);
    this.#buffer = target;
    this.#start = 0;
    this.#end = left.length;
  }
}

/** Fits every message of daily work. */
const INITIAL_BYTES = 65_536;
