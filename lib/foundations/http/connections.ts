/**
 * Who is connected, and what is being answered.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

interface Connection {
  /** Requests begun and not answered to the end. */
  active: number;
  /** Whether it ever carried a request. */
  used: boolean;
  /** Ends what took the connection over, such as a WebSocket. */
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
   * Whether no further connection is taken in.
   *
   * A quarter is kept for this machine: strangers on a network must not lock its account out.
   *
   * @param begun Connections besides that are about to be taken in.
   */
  isFull(
    { isRemote, begun = 0 }: { readonly isRemote: boolean; readonly begun?: number },
  ): boolean {
    return this.#open.size + begun >= this.#max ||
      (isRemote && this.#remote + begun >= this.#maxRemote);
  }

  /** Requests that have not been answered to the end. */
  get active(): number {
    return this.#active;
  }

  /** When the last request ended, in milliseconds since the epoch. */
  get lastActivityAt(): number {
    return this.#lastActivityAt;
  }

  /** Takes a connection in; `false` if there are too many. */
  admit(socket: Socket, { isRemote }: { readonly isRemote: boolean }): boolean {
    if (this.isFull({ isRemote })) return false;
    if (isRemote) this.#remote++;
    this.#open.set(socket, { active: 0, used: false });
    socket.once("close", () => {
      const gone = this.#open.get(socket);
      this.#open.delete(socket);
      if (isRemote) this.#remote--;
      // A request that waited behind another never had a response to be closed.
      if (gone !== undefined) this.#end(gone, gone.active);
    });
    socket.on("error", () => socket.destroy());
    return true;
  }

  /** Whether the connection was taken in; one that was refused may still send requests. */
  has(socket: Socket): boolean {
    return this.#open.has(socket);
  }

  /** Counts a request until it is answered and its response closed, or its connection is. */
  begin({ socket }: IncomingMessage, response: ServerResponse, answer: Promise<void>): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    connection.used = true;
    connection.active++;
    this.#active++;
    // After stopping, a client must not be led to send its next request here.
    if (this.#closing) response.shouldKeepAlive = false;
    const closed = Promise.withResolvers<void>();
    response.once("close", closed.resolve);
    socket.once("close", closed.resolve);
    const ended = Promise.all([answer, closed.promise]).then(() => {
      socket.removeListener("close", closed.resolve);
      if (!this.#open.has(socket)) return;
      this.#end(connection, 1);
      if (this.#closing && connection.active === 0) socket.destroySoon();
    });
    this.#answers.add(ended);
    void ended.finally(() => this.#answers.delete(ended));
  }

  /**
   * Counts a request that takes its connection over, until `session` has ended.
   *
   * @param leave Called when the server stops: nothing else would end the session.
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

  /** Closes what is idle now, and every other connection after its answer. */
  close(): void {
    this.#closing = true;
    for (const [socket, { active, used, leave }] of this.#open) {
      leave?.();
      if (used && active === 0) socket.destroySoon();
    }
  }

  /** Resolves when no request is active or about to come, or rejects with the signal's reason. */
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

  /** Breaks every connection; resolves when what answered them has noticed. */
  async destroy(): Promise<void> {
    for (const socket of this.#open.keys()) socket.destroy();
    await Promise.all(this.#answers);
  }

  /** A connection that was accepted and carried nothing yet is about to carry a request. */
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
