/**
 * The byte stream under a bus connection: its address, socket and authentication,
 * and the buffers on both sides.
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
  /** Fails pending reads and writes; may be called once. */
  close(): void;
}

/** Longest accepted line of the authentication. */
const MAX_LINE_BYTES = 16_384;
/** Fits every common message. */
const INITIAL_BYTES = 65_536;

/** Most queued bytes, unless one message alone is longer. */
const MAX_QUEUED_BYTES = 33_554_432;

/** The environment variables that locate the bus. */
export interface BusEnvironment {
  readonly DBUS_SESSION_BUS_ADDRESS?: string | undefined;
  readonly XDG_RUNTIME_DIR?: string | undefined;
}

/**
 * Returns the socket paths of the user's bus, to be tried in order; a path in the
 * abstract namespace begins with a NUL.
 *
 * @throws {CicdError} `systemd_unavailable` if the environment names none.
 */
export function busSocketPaths(env: BusEnvironment): readonly string[] {
  const address = env.DBUS_SESSION_BUS_ADDRESS;
  if (address !== undefined && address !== "") return parseAddresses(address);
  if (env.XDG_RUNTIME_DIR !== undefined && env.XDG_RUNTIME_DIR.startsWith("/")) {
    return [`${env.XDG_RUNTIME_DIR}/bus`];
  }
  throw new CicdError(
    "systemd_unavailable",
    "Cannot find the user's bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set",
  );
}

function parseAddresses(text: string): readonly string[] {
  const paths: string[] = [];
  for (const address of text.split(";")) {
    const [, options] = /^unix:(.*)$/s.exec(address) ?? [];
    for (const option of options?.split(",") ?? []) {
      const [, key, value] = /^(path|abstract)=(.+)$/s.exec(option) ?? [];
      if (value === undefined) continue;
      const path = unescaped(value);
      if (path === undefined || path.includes("\0")) throw unusable(text);
      paths.push(key === "abstract" ? `\0${path}` : path);
    }
  }
  if (paths.length === 0) throw unusable(text);
  return paths;
}

function unescaped(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

function unusable(text: string): CicdError {
  return new CicdError(
    "systemd_unavailable",
    `Cannot use DBUS_SESSION_BUS_ADDRESS "${text}": it names no unix:path= or unix:abstract=`,
  );
}

/**
 * Connects to the first socket that accepts.
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
async function writeAll(stream: ByteStream, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await stream.write(bytes.subarray(done));
}

/**
 * Authenticates by the socket's own credentials (SASL EXTERNAL).
 *
 * The kernel supplies the identity, so this works across user namespaces and
 * without permission to read the uid.
 *
 * @throws {CicdError} `systemd_unavailable` if the bus refuses.
 */
export async function authenticate(stream: ByteStream): Promise<void> {
  const encoder = new TextEncoder();
  // All at once: systemd does not see a message that arrives together with the last line.
  await writeAll(stream, encoder.encode("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"));
  let answer = await readLine(stream);
  if (answer === "DATA") answer = await readLine(stream);
  if (!/^OK [0-9a-f]+$/.test(answer)) {
    throw new CicdError(
      "systemd_unavailable",
      `Cannot authenticate with the user's bus: its answer is ${JSON.stringify(answer)}`,
    );
  }
}

/** Reads one line byte by byte: the bytes after the last line belong to the messages. */
async function readLine(stream: ByteStream): Promise<string> {
  const byte = new Uint8Array(1);
  let line = "";
  while (!line.endsWith("\r\n")) {
    if (await stream.read(byte) === null) {
      throw new CicdError(
        "systemd_unavailable",
        "Cannot authenticate: the bus closed the connection",
      );
    }
    line += String.fromCharCode(byte[0] ?? 0);
    if (line.length > MAX_LINE_BYTES) {
      throw new CicdError("systemd_unavailable", "Cannot authenticate: the answer is too long");
    }
  }
  return line.slice(0, -2);
}

/** Splits a byte stream into whole messages. */
export class FrameBuffer {
  #buffer = new Uint8Array(INITIAL_BYTES);
  #start = 0;
  #end = 0;

  /** Returns a non-empty buffer for the next bytes. */
  space(): Uint8Array {
    if (this.#end === this.#buffer.length) this.#makeRoom();
    return this.#buffer.subarray(this.#end);
  }

  /** Records how many bytes were read into {@linkcode FrameBuffer.space}. */
  filled(count: number): void {
    this.#end += count;
  }

  /**
   * Takes the next whole message; valid until the next call of `space`.
   *
   * @returns `undefined` until it has arrived in full.
   * @throws {CicdError} `systemd_unavailable` if the bytes begin no message.
   */
  next(): Uint8Array | undefined {
    const arrived = this.#buffer.subarray(this.#start, this.#end);
    if (arrived.length < PREAMBLE_BYTES) return undefined;
    const length = messageLength(arrived);
    if (arrived.length < length) return undefined;
    this.#start += length;
    return arrived.subarray(0, length);
  }

  /** Moves the remaining bytes to the front; grows only for bytes that have arrived. */
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

/** A queue of outgoing messages: one writer, whole messages, in order. */
export class Outbox {
  #queue: Uint8Array[] = [];
  #bytes = 0;
  #closed = false;
  #wake: (() => void) | undefined;

  /**
   * Queues a message.
   *
   * @throws {CicdError} `systemd_unavailable` if the queue is full.
   */
  push(message: Uint8Array): void {
    if (this.#bytes > 0 && this.#bytes + message.length > MAX_QUEUED_BYTES) {
      throw new CicdError(
        "systemd_unavailable",
        `Cannot send to the user's bus: ${this.#bytes} bytes are queued already`,
      );
    }
    this.#queue.push(message);
    this.#bytes += message.length;
    this.#wake?.();
  }

  /** Writes queued messages until {@linkcode Outbox.close}. */
  async run(stream: ByteStream): Promise<void> {
    while (!this.#closed) {
      const message = this.#queue.shift();
      if (message !== undefined) {
        await writeAll(stream, message);
        this.#bytes -= message.length;
        continue;
      }
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
  }

  /** Drops the queue and ends {@linkcode Outbox.run}. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#wake?.();
  }
}
