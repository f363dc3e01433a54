/**
 * The only place that calls into libc, for what the runtime does not offer:
 * close-on-exec on inherited sockets, a look at the client that waits at one, Unix
 * datagrams and descriptors in them, the kind of a socket, the monotonic clock, inotify, writing
 * to a terminal, named pipes, and giving freed memory back. Constants are those of Linux on x86_64 and aarch64.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";

/** The outcome of sending a datagram. */
export type SendResult =
  | { readonly kind: "sent" }
  /** The receiver's queue is full. */
  | { readonly kind: "would_block" }
  | { readonly kind: "failed"; readonly errno: number };

/** A socket for many datagrams to one address. */
export interface DatagramSocket extends Disposable {
  /** Sends without waiting. */
  send(bytes: Uint8Array<ArrayBuffer>): SendResult;
}

/** A connection that was accepted from a listening socket. */
export interface WaitingClient {
  readonly fd: number;
  /** The bytes it has sent so far, up to a limit; all of them can still be read. */
  readonly sent: Uint8Array;
}

/** An inotify instance. */
export interface InotifyQueue extends Disposable {
  /** Watches a directory without opening anything; `undefined` if it cannot. */
  add(path: string): number | undefined;
  remove(watch: number): void;
  /** Waits for events in another thread; returns the bytes read, or less than 0 on failure. */
  read(into: Uint8Array<ArrayBuffer>): Promise<number>;
}

const SYMBOLS = {
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  inotify_init1: { parameters: ["i32"], result: "i32" },
  inotify_rm_watch: { parameters: ["i32", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  malloc_trim: { parameters: ["usize"], result: "i32" },
  // Reads errno: the runtime's own pointer access requires permission for all libraries.
  memcpy: { parameters: ["buffer", "pointer", "usize"], result: "pointer" },
  mkfifo: { parameters: ["buffer", "u32"], result: "i32" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32", nonblocking: true },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  tcgetattr: { parameters: ["i32", "buffer"], result: "i32" },
  tcsetattr: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
} as const satisfies Deno.ForeignLibraryInterface;

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2_000_002;
const SOCK_CLOEXEC_NONBLOCK = 0o2_004_000;
const SUN_PATH_BYTES = 108;
const MSG_PEEK_DONTWAIT = 0x42;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
const SOL_SOCKET = 1;
const SO_DOMAIN = 39;
const SCM_RIGHTS = 1;
const POLLOUT = 4;
/** In words of a `termios`: its size, the place of its output flags, and the one that we clear. */
const TERMIOS_WORDS = 16;
const OFLAG = 1;
const OPOST = 1;
const F_SETFD = 2;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const FD_CLOEXEC = 1;
const IN_CLOEXEC = 0o2_000_000;
/** Of entries: modified, moved, created, deleted; of a directory, which is not a link. */
const WATCHED = 0x2 | 0x40 | 0x80 | 0x100 | 0x200 | 0x0100_0000 | 0x0200_0000;
const CLOCK_MONOTONIC = 1;
const EAGAIN = 11;
const EINTR = 4;
const EBADF = 9;

/** libc, loaded on the first call. */
export class Libc {
  #loaded: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

  /**
   * Keeps a file descriptor from child processes.
   *
   * @throws {CicdError} `io_failed` if the descriptor does not exist.
   */
  setCloseOnExec(fd: number): void {
    if (this.#libc.fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) throw this.#failure("set close-on-exec", fd);
  }

  /** Makes a named pipe of the account. @throws {CicdError} `io_failed` */
  makeFifo(path: string): void {
    const name = new TextEncoder().encode(`${path}\0`);
    if (this.#libc.mkfifo(name, 0o600) < 0) throw this.#failure("make the named pipe", path);
  }

  /**
   * Sends one datagram without waiting.
   *
   * @param address Path of the socket; `@name` in the abstract namespace.
   * @throws {CicdError} `io_failed` if the socket cannot be created.
   */
  sendDatagram(address: string, bytes: Uint8Array<ArrayBuffer>): SendResult {
    using socket = this.openDatagramSocket(address);
    return socket.send(bytes);
  }

  /**
   * Sends one datagram with a descriptor, without waiting.
   *
   * @throws {CicdError} `io_failed` if the socket cannot be created.
   */
  sendDescriptor(address: string, bytes: Uint8Array<ArrayBuffer>, fd: number): SendResult {
    const name = encodeAddress(address);
    const socket = this.#libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
    if (socket < 0) throw this.#failure("create a datagram socket", address);
    const vector = new BigUint64Array([addressOf(bytes), BigInt(bytes.length)]);
    // A `cmsghdr`: its length, level and type, then the descriptor.
    const control = new DataView(new ArrayBuffer(24));
    control.setBigUint64(0, 20n, true);
    control.setInt32(8, SOL_SOCKET, true);
    control.setInt32(12, SCM_RIGHTS, true);
    control.setInt32(16, fd, true);
    const rights = new Uint8Array(control.buffer);
    const message = new BigUint64Array([
      addressOf(name),
      BigInt(name.length),
      addressOf(vector),
      1n,
      addressOf(rights),
      BigInt(rights.length),
      0n,
    ]);
    try {
      for (;;) {
        if (this.#libc.sendmsg(socket, message, MSG_DONTWAIT_NOSIGNAL) >= 0n) {
          return { kind: "sent" };
        }
        const errno = this.#errno();
        if (errno === EAGAIN) return { kind: "would_block" };
        if (errno !== EINTR) return { kind: "failed", errno };
      }
    } finally {
      this.#libc.close(socket);
      // Until here they were used, which the collector cannot see.
      vector.fill(0n);
      for (const used of [name, rights]) used.fill(0);
    }
  }

  /**
   * Writes to a descriptor that does not block.
   *
   * @returns The number of bytes taken, 0 if none fit now.
   * @throws {CicdError} `io_failed`
   */
  writeSome(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
    for (;;) {
      const count = Number(this.#libc.write(fd, bytes, BigInt(bytes.length)));
      if (count >= 0) return count;
      const errno = this.#errno();
      if (errno === EAGAIN) return 0;
      if (errno !== EINTR) throw this.#failure("write to descriptor", fd);
    }
  }

  /** Waits in another thread until a descriptor can be written, or for `ms`. */
  async writable(fd: number, ms: number): Promise<void> {
    const entry = new Int32Array([fd, POLLOUT]);
    await this.#libc.poll(entry, 1n, ms);
  }

  /**
   * Makes a terminal show bytes as they are: the runtime's raw mode still makes two of a line feed.
   *
   * @returns False if it cannot.
   */
  showAsIs(fd: number): boolean {
    const modes = new Uint32Array(TERMIOS_WORDS);
    if (this.#libc.tcgetattr(fd, modes) < 0) return false;
    modes[OFLAG] = (modes[OFLAG] ?? 0) & ~OPOST;
    return this.#libc.tcsetattr(fd, 0, modes) === 0;
  }

  /** Closes a descriptor that nothing else owns. */
  close(fd: number): void {
    this.#libc.close(fd);
  }

  /**
   * Creates a socket for many datagrams; the address is looked up for each, so the
   * receiver may restart.
   *
   * @throws {RangeError} If the address is too long or empty.
   * @throws {CicdError} `io_failed` if the socket cannot be created.
   */
  openDatagramSocket(address: string): DatagramSocket {
    const socketAddress = encodeAddress(address);
    const fd = this.#libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
    if (fd < 0) throw this.#failure("create a datagram socket", address);
    let open = true;
    return {
      send: (bytes) =>
        open ? this.#send(fd, bytes, socketAddress) : { kind: "failed", errno: EBADF },
      [Symbol.dispose]: () => {
        if (open) this.#libc.close(fd);
        open = false;
      },
    };
  }

  /**
   * Returns true for a Unix socket, false for a network socket.
   *
   * @throws {CicdError} `io_failed` if the descriptor is not a socket.
   */
  isUnixSocket(fd: number): boolean {
    const domain = new Int32Array(1);
    const length = new Uint32Array([domain.byteLength]);
    if (this.#libc.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, domain, length) < 0) {
      throw this.#failure("determine the kind of", fd);
    }
    return domain[0] === AF_UNIX;
  }

  /**
   * Accepts a connection if one waits, without waiting for one.
   *
   * @param maxBytes The most to be looked at.
   * @returns `undefined` if none waits, or it cannot be accepted now.
   */
  acceptWaiting(fd: number, maxBytes: number): WaitingClient | undefined {
    // A client that has left in the meantime must not make this wait for the next.
    if (this.#libc.fcntl(fd, F_SETFL, O_NONBLOCK) < 0) return undefined;
    const accepted = this.#libc.accept4(fd, null, null, SOCK_CLOEXEC_NONBLOCK);
    if (accepted < 0) return undefined;
    const bytes = new Uint8Array(maxBytes);
    const count = this.#libc.recv(accepted, bytes, BigInt(maxBytes), MSG_PEEK_DONTWAIT);
    return { fd: accepted, sent: bytes.subarray(0, Math.max(0, Number(count))) };
  }

  /** Returns microseconds of the monotonic clock, which systemd compares with. */
  monotonicMicros(): bigint {
    const time = new BigInt64Array(2);
    if (this.#libc.clock_gettime(CLOCK_MONOTONIC, time) < 0) {
      throw this.#failure("read", "the monotonic clock");
    }
    const [seconds = 0n, nanoseconds = 0n] = time;
    return seconds * 1_000_000n + nanoseconds / 1_000n;
  }

  /** Gives the pages of freed memory back to the system; libc otherwise keeps most of them. */
  trimMemory(): void {
    this.#libc.malloc_trim(0n);
  }

  /** Creates an inotify instance; `undefined` if the account has too many. */
  openInotify(): InotifyQueue | undefined {
    const libc = this.#libc;
    const fd = libc.inotify_init1(IN_CLOEXEC);
    if (fd < 0) return undefined;
    return {
      add(path) {
        const watch = libc.inotify_add_watch(fd, new TextEncoder().encode(`${path}\0`), WATCHED);
        return watch < 0 ? undefined : watch;
      },
      remove: (watch) => void libc.inotify_rm_watch(fd, watch),
      read: async (into) => Number(await libc.read(fd, into, BigInt(into.length))),
      [Symbol.dispose]: () => void libc.close(fd),
    };
  }

  get #libc(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
    return this.#loaded ??= load();
  }

  #send(
    fd: number,
    bytes: Uint8Array<ArrayBuffer>,
    address: Uint8Array<ArrayBuffer>,
  ): SendResult {
    for (;;) {
      const sent = this.#libc.sendto(
        fd,
        bytes,
        BigInt(bytes.length),
        MSG_DONTWAIT_NOSIGNAL,
        address,
        address.length,
      );
      if (sent >= 0n) return { kind: "sent" };
      const errno = this.#errno();
      if (errno === EAGAIN) return { kind: "would_block" };
      if (errno !== EINTR) return { kind: "failed", errno };
    }
  }

  #errno(): number {
    const errno = new Int32Array(1);
    this.#libc.memcpy(errno, this.#libc.__errno_location(), BigInt(errno.byteLength));
    return errno[0] ?? 0;
  }

  #failure(verb: string, object: string | number): CicdError {
    return new CicdError("io_failed", `Cannot ${verb} "${object}": errno is ${this.#errno()}`);
  }
}

/**
 * The bare name works where every library is permitted. Where only one is, the
 * runtime resolves a bare name in the working directory, so its path is needed.
 */
const LIBRARIES = [
  "libc.so.6",
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
] as const;

function load(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  const failures: unknown[] = [];
  for (const library of LIBRARIES) {
    try {
      return Deno.dlopen(library, SYMBOLS).symbols;
    } catch (error) {
      failures.push(error);
    }
  }
  const denied = failures.every((error) => error instanceof Deno.errors.NotCapable);
  const state = denied
    ? "calls into libraries are not permitted; run with --allow-ffi"
    : failures.map(messageOf).join("; ");
  throw new CicdError("io_failed", `Cannot load libc: ${state}`, { cause: failures[0] });
}

/** Returns where bytes lie; they must be kept while that is used. */
function addressOf(bytes: ArrayBufferView<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}

/** Encodes a `sockaddr_un`: a path ends with a NUL, an abstract name begins with one. */
function encodeAddress(address: string): Uint8Array<ArrayBuffer> {
  const abstract = address.startsWith("@");
  const path = new TextEncoder().encode(abstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (path.length < 2 || path.length > SUN_PATH_BYTES || address.includes("\0")) {
    throw new RangeError(`Cannot use socket address "${address}": it is empty or too long`);
  }
  const bytes = new Uint8Array(2 + path.length);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(path, 2);
  return bytes;
}
