/**
 * Counts the tokens of an answer from a copy of its bytes.
 *
 * The copy is decompressed and scanned as it passes; nothing of it is kept. It can only fail to
 * count: the client's bytes do not depend on it.
 *
 * @module
 */
import type { Transform } from "node:stream";
import { EventData } from "@lib/features/llm_proxy/event_data.ts";
import { JsonFields } from "@lib/features/llm_proxy/json_fields.ts";
import {
  type Count,
  counted,
  COUNTED_FIELDS,
  isNothing,
  NOTHING,
} from "@lib/features/llm_proxy/token_count.ts";

/** The form of an answer, by its header. */
export interface AnswerForm {
  readonly contentType: string;
  readonly contentEncoding: string;
}

/** Why the tokens of an answer are unknown. */
export type Uncounted = "type" | "encoding" | "damaged" | "too_long" | "no_usage";

/** The outcome of a tap. */
export interface Tapped {
  /** The sums so far, also before a failure. */
  readonly count: Count;
  readonly uncounted?: Uncounted;
}

/** The most decompressed bytes that are scanned; what follows is not counted. */
const MAX_DECODED = 64 * 1024 * 1024;

/** Counts one answer. */
export class AnswerTap {
  readonly #scan: { feed(bytes: Uint8Array): void } | undefined;
  readonly #coding: string;
  readonly #isStream: boolean;
  /** Made for the first bytes. */
  #decoder: Transform | "none" | undefined;
  readonly #isDecoded = Promise.withResolvers<void>();
  #count: Count = NOTHING;
  #uncounted: Uncounted | undefined;
  #decoded = 0;

  constructor({ contentType, contentEncoding }: AnswerForm) {
    const fields = new JsonFields({
      wanted: COUNTED_FIELDS,
      onDocument: (found) => {
        this.#count = counted(this.#count, found);
      },
    });
    const type = contentType.toLowerCase();
    this.#isStream = type.startsWith("text/event-stream");
    if (this.#isStream) this.#scan = new EventData(fields);
    else if (/[/+-](x-)?(nd)?json/.test(type)) this.#scan = fields;
    else this.#uncounted = "type";
    this.#coding = contentEncoding.trim().toLowerCase();
  }

  /** Takes a copy of some bytes; resolves when more may follow. Never rejects. */
  async write(chunk: Uint8Array): Promise<void> {
    const [first] = chunk;
    if (this.#uncounted !== undefined || first === undefined) return;
    const decoder = this.#decoder ??= await this.#open(first);
    if (decoder === "none") return this.#take(chunk);
    if (decoder.write(chunk)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    decoder.once("drain", resolve);
    await Promise.race([promise, this.#isDecoded.promise]);
    decoder.off("drain", resolve);
  }

  /** Returns what was counted once all bytes are decoded. Never rejects. */
  async end(): Promise<Tapped> {
    const decoder = this.#decoder ?? "none";
    if (decoder !== "none") {
      if (this.#uncounted === undefined) {
        decoder.end();
        await this.#isDecoded.promise;
      }
      decoder.destroy();
    }
    // Other answers, such as a list of models, have none.
    if (this.#isStream && this.#decoded > 0 && isNothing(this.#count)) {
      this.#uncounted ??= "no_usage";
    }
    return {
      count: this.#count,
      ...(this.#uncounted === undefined ? {} : { uncounted: this.#uncounted }),
    };
  }

  async #open(first: number): Promise<Transform | "none"> {
    const decoder = await decoderOf(this.#coding, first);
    if (decoder === "none") return decoder;
    if (decoder === "unknown") {
      this.#uncounted = "encoding";
      return "none";
    }
    decoder.on("data", (bytes: Uint8Array) => this.#take(bytes));
    decoder.on("error", () => {
      this.#uncounted ??= "damaged";
      this.#isDecoded.resolve();
    });
    for (const event of ["end", "close"]) decoder.once(event, () => this.#isDecoded.resolve());
    return decoder;
  }

  #take(bytes: Uint8Array): void {
    if (this.#uncounted !== undefined) return;
    this.#decoded += bytes.length;
    if (this.#decoded <= MAX_DECODED) return this.#scan?.feed(bytes);
    this.#uncounted = "too_long";
    this.#isDecoded.resolve();
    if (this.#decoder !== "none") this.#decoder?.destroy();
  }
}

/**
 * Makes the decoder of a content coding (RFC 9110, section 8.4.1).
 *
 * @param first The first byte of the answer.
 */
async function decoderOf(coding: string, first: number): Promise<Transform | "none" | "unknown"> {
  if (coding === "" || coding === "identity") return "none";
  const zlib = await import("node:zlib");
  // A stream that is flushed after each event, and one that breaks off, are decoded as far as they go.
  const options = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
  switch (coding) {
    case "gzip":
    case "x-gzip":
      return zlib.createGunzip(options);
    case "deflate":
      // Some servers send it without the header of zlib, whose low bits are these.
      return (first & 0x0f) === 8 ? zlib.createInflate(options) : zlib.createInflateRaw(options);
    case "br":
      return zlib.createBrotliDecompress({
        finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH,
      });
    case "zstd":
      return zlib.createZstdDecompress();
    default:
      return "unknown";
  }
}
