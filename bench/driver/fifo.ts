/**
 * A FIFO that shows when a program on the other side writes to it.
 *
 * It times the jobs of the product and of its peers by the driver's clock: no job
 * reads a clock or forks a program for it.
 *
 * @module
 */
import { run } from "./programs.ts";

/** A FIFO for reading. */
export class Fifo implements Disposable {
  readonly path: string;
  readonly #file: Deno.FsFile;
  readonly #buffer = new Uint8Array(4096);

  private constructor(path: string, file: Deno.FsFile) {
    this.path = path;
    this.#file = file;
  }

  /** Creates a FIFO, opened in both directions so that neither side waits for the other. */
  static async make(): Promise<Fifo> {
    const path = `${await Deno.makeTempDir({ prefix: "bench-" })}/fifo`;
    await run("mkfifo", path);
    return new Fifo(path, await Deno.open(path, { read: true, write: true }));
  }

  /** Resolves with the time (`performance.now()`) at which data arrives. */
  async arrival(): Promise<number> {
    await this.#file.read(this.#buffer);
    return performance.now();
  }

  /** Writes a line; returns the time before the write. */
  send(text: string): number {
    const bytes = new TextEncoder().encode(`${text}\n`);
    const at = performance.now();
    this.#file.writeSync(bytes);
    return at;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
