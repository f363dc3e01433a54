/**
 * Collects output for an answer: bounded, with its middle left out.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { StringShortener } from "@lib/features/gryt/shorten_strings.ts";

/** Collected output. */
export interface CollectedOutput {
  /** With a line in place of what was left out. */
  readonly text: string;
  /** The end of the output, or all of it, with long strings of JSON shortened. */
  readonly tail: string;
  readonly tailIsWhole: boolean;
}

/** Empty output. */
export const NO_OUTPUT: CollectedOutput = { text: "", tail: "", tailIsWhole: true };

/**
 * Reads a stream to its end in bounded memory.
 *
 * @param bounds `maxBytes` of `text`, half from the beginning, half from the end, and `tailBytes` of
 * `tail`.
 */
export async function collectOutput(
  chunks: AsyncIterable<Uint8Array>,
  { maxBytes, tailBytes }: { readonly maxBytes: number; readonly tailBytes: number },
): Promise<CollectedOutput> {
  const headMax = Math.ceil(maxBytes / 2);
  const head: Uint8Array[] = [];
  let headBytes = 0;
  const end = new End(maxBytes);
  const tail = new End(tailBytes);
  const shortener = new StringShortener();
  for await (const chunk of chunks) {
    if (headBytes < headMax) {
      const part = chunk.subarray(0, headMax - headBytes);
      head.push(part);
      headBytes += part.length;
    }
    end.push(chunk);
    tail.push(shortener.push(chunk));
  }
  const { total } = end;
  const last = end.bytes();
  return {
    text: total <= maxBytes
      ? decode(last)
      : withoutMiddle(Buffer.concat(head), last, { maxBytes, total }),
    tail: decode(tail.bytes()),
    tailIsWhole: tail.total <= tailBytes,
  };
}

/** The last bytes of a stream. */
class End {
  total = 0;
  readonly #maxBytes: number;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): void {
    this.total += chunk.length;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    for (let first = this.#chunks[0]; first !== undefined;) {
      if (this.#bytes - first.length < this.#maxBytes) break;
      this.#bytes -= first.length;
      this.#chunks.shift();
      first = this.#chunks[0];
    }
  }

  bytes(): Uint8Array {
    const all = Buffer.concat(this.#chunks);
    return all.subarray(Math.max(0, all.length - this.#maxBytes));
  }
}

/** Cuts between characters, not within one. */
function withoutMiddle(
  head: Uint8Array,
  end: Uint8Array,
  { maxBytes, total }: { readonly maxBytes: number; readonly total: number },
): string {
  let headEnd = head.length;
  for (let back = 0; back < 4 && isContinuation(head[headEnd - 1]); back++) headEnd--;
  // The first byte of a character that was cut.
  if ((head[headEnd - 1] ?? 0) >= 0xc0) headEnd--;
  let endStart = end.length - Math.floor(maxBytes / 2);
  for (let on = 0; on < 4 && isContinuation(end[endStart]); on++) endStart++;
  const leftOut = total - headEnd - (end.length - endStart);
  return `${decode(head.subarray(0, headEnd))}\n[${leftOut} bytes left out]\n` +
    decode(end.subarray(endStart));
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
