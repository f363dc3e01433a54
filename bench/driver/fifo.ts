/**
 * A FIFO that tells when a program on the other side wrote to it.
 *
 * Both the product's jobs and the peers' are timed by it, with the clock of
 * the driver: no clock has to be asked by a job, and no program forked for it.
 *
 * @module
 */
import { run } from "./programs.ts";

/** A FIFO to be read. */
export class Fifo implements Disposable {
  readonly path: string;
  readonly #file: Deno.FsFile;
  readonly #buffer = new Uint8Array(4096);

  private constructor(path: string, file: Deno.FsFile) {
    this.path = path;
    this.#file = file;
  }

  /** Makes a FIFO. Open for both ways, so that neither side ever waits for the other to open. */
  static async make(): Promise<Fifo> {
    const path = `${await Deno.makeTempDir({ prefix: "bench-" })}/fifo`;
    await run("mkfifo", path);
    return new Fifo(path, await Deno.open(path, { read: true, write: true }));
  }

  /** Resolves with the time, of `performance.now()`, at which something arrived. */
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
