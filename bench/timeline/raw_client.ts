/**
 * A client whose every byte is known, so that its requests are found again in a trace.
 *
 * @module
 */

/** An answer. */
export interface RawAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** A connection to a Unix socket that is kept. */
export class RawClient implements Disposable {
  readonly #connection: Deno.UnixConn;

  private constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
  }

  /** Connects. */
  static async open(path: string): Promise<RawClient> {
    return new RawClient(await Deno.connect({ transport: "unix", path }));
  }

  /** Sends a request, made by {@linkcode requestBytes}, and reads the answer. */
  async send(request: Uint8Array<ArrayBuffer>): Promise<RawAnswer> {
    await this.#connection.write(request);
    const buffer = new Uint8Array(65_536);
    let text = "";
    while (true) {
      const count = await this.#connection.read(buffer);
      if (count === null) throw new Error(`The connection ended after "${text}"`);
      // The product's own answers about these jobs are ASCII, so characters are bytes.
      text += new TextDecoder().decode(buffer.subarray(0, count));
      const [head = "", body] = text.split("\r\n\r\n", 2);
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1]);
      if (body === undefined || body.length < length) continue;
      if (Number.isNaN(length)) throw new Error(`The answer has no length: "${head}"`);
      return { status: Number(head.split(" ")[1]), body: JSON.parse(body) };
    }
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** Returns the bytes of a request with a JSON body, or none. */
export function requestBytes(
  method: string,
  path: string,
  body?: unknown,
): Uint8Array<ArrayBuffer> {
  const text = body === undefined ? "" : JSON.stringify(body);
  const type = body === undefined ? "" : "Content-Type: application/json\r\n";
  return new TextEncoder().encode(
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${type}` +
      `Content-Length: ${text.length}\r\n\r\n${text}`,
  );
}
