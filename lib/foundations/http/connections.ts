/**
 * Counts connections, TLS handshakes and requests in progress.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

interface Connection {
  /** Requests in progress. */
  active: number;
  /** Set once it has carried a request. */
  used: boolean;
  /** The answers in progress with their ends, in order. */
  readonly answers: Map<ServerResponse, Promise<void>>;
  /** Ends a session that took the connection over, such as a WebSocket. */
  leave?: () => void;
}

/** The connections of one server, over all its sockets. */
export class Connections {
  readonly #open = new Map<Socket, Connection>();
  readonly #waiters = new Set<() => void>();
  readonly #answers = new Set<Promise<void>>();
  readonly #max: number;
  readonly #maxRemote: number;
  #remote = 0;
  #closing = false;
  #active = 0;
  #lastActivityAt = Date.now();

  constructor(max: number) {
    this.#max = max;
    this.#maxRemote = Math.max(1, max - Math.ceil(max / 4));
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Returns true if no further connection can be admitted.
   *
   * A quarter is reserved for this machine: remote clients must not lock out its account.
   *
   * @param begun Connections that are about to be admitted.
   */
  isFull(isRemote: boolean, begun = 0): boolean {
    return this.#open.size + begun >= this.#max ||
      (isRemote && this.#remote + begun >= this.#maxRemote);
  }

  /** Requests in progress. */
  get active(): number {
    return this.#active;
  }

  /** When the last request ended, in milliseconds since the epoch. */
  get lastActivityAt(): number {
    return this.#lastActivityAt;
  }

  /** Admits a connection; returns false if there are too many. */
  admit(socket: Socket, isRemote: boolean): boolean {
    if (this.isFull(isRemote)) return false;
    if (isRemote) this.#remote++;
    this.#open.set(socket, { active: 0, used: false, answers: new Map() });
    socket.once("close", () => {
      const gone = this.#open.get(socket);
      this.#open.delete(socket);
      if (isRemote) this.#remote--;
      if (gone === undefined) return;
      this.#end(gone, gone.active);
      for (const response of gone.answers.keys()) closeQueued(response);
    });
    socket.on("error", () => socket.destroy());
    return true;
  }

  /** Returns true for an admitted connection; a refused one may still send requests. */
  has(socket: Socket): boolean {
    return this.#open.has(socket);
  }

  /** Counts a request until it is answered and its response or connection is closed. */
  begin({ socket }: IncomingMessage, response: ServerResponse, answer: Promise<void>): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    connection.used = true;
    connection.active++;
    this.#active++;
    // After the stop, the client must not send its next request here.
    if (this.#closing) response.shouldKeepAlive = false;
    const closed = Promise.withResolvers<void>();
    response.once("close", closed.resolve);
    socket.once("close", closed.resolve);
    const ended = Promise.all([answer, closed.promise]).then(() => {
      socket.removeListener("close", closed.resolve);
      connection.answers.delete(response);
      if (!this.#open.has(socket)) return;
      this.#end(connection, 1);
      if (this.#closing && connection.active === 0) socket.destroySoon();
    });
    connection.answers.set(response, ended);
    this.#answers.add(ended);
    void ended.finally(() => this.#answers.delete(ended));
  }

  /**
   * Resolves when the requests in progress on a connection are answered; at once if the body of
   * the first is not complete and its answer has not begun.
   */
  async answered(socket: Socket): Promise<void> {
    const answers = this.#open.get(socket)?.answers;
    const [first] = answers?.keys() ?? [];
    if (first?.req.complete === true || first?.headersSent === true) {
      await Promise.all(answers?.values() ?? []);
    }
  }

  /**
   * Counts a request that takes over its connection, until `session` ends.
   *
   * @param leave Called when the server stops, to end the session.
   */
  beginTakeover(socket: Socket, session: Promise<void>, leave: () => void): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    connection.used = true;
    connection.active++;
    connection.leave = leave;
    this.#active++;
    if (this.#closing) leave();
    const ended = session.finally(() => {
      if (this.#open.has(socket)) this.#end(connection, 1);
      socket.destroy();
    });
    this.#answers.add(ended);
    void ended.finally(() => this.#answers.delete(ended));
  }

  /** Closes idle connections now, and every other one after its answer. */
  close(): void {
    this.#closing = true;
    for (const [socket, { active, used, leave }] of this.#open) {
      leave?.();
      if (used && active === 0) socket.destroySoon();
    }
  }

  /** Resolves when no request is active or imminent, or rejects with the signal's reason. */
  drained(signal: AbortSignal): Promise<void> {
    if (this.#isQuiet()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiters.delete(look);
        reject(signal.reason);
      };
      const look = () => {
        if (!this.#isQuiet()) return;
        this.#waiters.delete(look);
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#waiters.add(look);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  /** Breaks every connection; resolves when their handlers have ended. */
  async destroy(): Promise<void> {
    for (const socket of this.#open.keys()) socket.destroy();
    await Promise.all(this.#answers);
  }

  /** A connection without a request so far is expected to send one. */
  #isQuiet(): boolean {
    return this.#active === 0 && [...this.#open.values()].every(({ used }) => used);
  }

  #end(connection: Connection, count: number): void {
    connection.active -= count;
    this.#active -= count;
    if (count > 0) this.#lastActivityAt = Date.now();
    for (const look of [...this.#waiters]) look();
  }
}

/**
 * TLS handshakes in progress, each for a bounded time: they count as connections
 * before they can send a request.
 */
export class Handshakes {
  readonly #begun = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  get size(): number {
    return this.#begun.size;
  }

  /** Counts a connection until its handshake ends or times out. */
  begin(socket: Socket): void {
    const name = nameOf(socket);
    clearTimeout(this.#begun.get(name));
    this.#begun.set(
      name,
      setTimeout(() => {
        this.#begun.delete(name);
        socket.destroy();
      }, this.#timeoutMs),
    );
    socket.once("close", () => this.#end(name));
  }

  /** @param secured The connection after its handshake, which is another object. */
  end(secured: Socket): void {
    this.#end(nameOf(secured));
  }

  #end(name: string): void {
    clearTimeout(this.#begun.get(name));
    this.#begun.delete(name);
  }

  clear(): void {
    for (const name of [...this.#begun.keys()]) this.#end(name);
  }
}

/** Closes a response behind an unfinished one: without a connection yet, it would not notice its end. */
function closeQueued(response: ServerResponse): void {
  if (response.socket !== null || response.writableFinished) return;
  response.destroy();
  response.emit("close");
}

/** Returns a name that is unique, and the same before and after the handshake. */
function nameOf({ remoteAddress = "", remotePort = 0, localPort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
