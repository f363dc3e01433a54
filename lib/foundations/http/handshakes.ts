/**
 * Connections whose TLS handshake is not over: they count before they can ask
 * for anything.
 *
 * @module
 */
import type { Socket } from "node:net";

/** Begun handshakes, each for a bounded time. */
export class Handshakes {
  readonly #begun = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #timeoutMs: number;

  /** @param timeoutMs How long a handshake may take; the TLS server breaks it off then. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  get size(): number {
    return this.#begun.size;
  }

  /** Counts a connection until {@linkcode end} or the time is over. */
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
    socket.once("close", () => this.end(name));
  }

  /** @param secured The connection after its handshake, which is another object. */
  endOf(secured: Socket): void {
    this.end(nameOf(secured));
  }

  end(name: string): void {
    clearTimeout(this.#begun.get(name));
    this.#begun.delete(name);
  }

  /** Forgets all. */
  clear(): void {
    for (const name of [...this.#begun.keys()]) this.end(name);
  }
}

/** Before and after the handshake the same; no other connection has it meanwhile. */
function nameOf({ remoteAddress = "", remotePort = 0, localPort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
