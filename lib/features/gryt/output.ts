/**
 * Output for an answer: bounded, with its middle left out.
 *
 * @module
 */

/** Bounds for {@linkcode collectOutput}. */
export interface OutputBounds {
  /** Bytes of text that are kept: half from the beginning, half from the end. */
  readonly maxBytes: number;
  /** Bytes at the end that are kept besides, for who looks for something there. */
  readonly tailBytes: number;
}

/** What was collected. */
export interface CollectedOutput {
  /** With a line in place of what was left out. */
  readonly text: string;
  /** The end of the output. */
  readonly tail: string;
  /** Whether `tail` is the whole output. */
  readonly tailIsWhole: boolean;
}

/** Output that is empty. */
export const NO_OUTPUT: CollectedOutput = { text: "", tail: "", tailIsWhole: true };

/** Reads a stream of bytes to its end, holding no more than the bounds. */
export async function collectOutput(
  chunks: AsyncIterable<Uint8Array>,
  { maxBytes, tailBytes }: OutputBounds,
): Promise<CollectedOutput> {
  const headMax = Math.ceil(maxBytes / 2);
  const endMax = Math.max(maxBytes, tailBytes);
  const head: Uint8Array[] = [];
  const end: Uint8Array[] = [];
  let headBytes = 0;
  let endBytes = 0;
  let total = 0;
  for await (const chunk of chunks) {
    total += chunk.length;
    if (headBytes < headMax) {
      const part = chunk.subarray(0, headMax - headBytes);
      head.push(part);
      headBytes += part.length;
    }
    end.push(chunk);
    endBytes += chunk.length;
    for (let first = end[0]; first !== undefined && endBytes - first.length >= endMax;) {
      endBytes -= first.length;
      end.shift();
      first = end[0];
    }
  }
  const last = concat(end);
  const tail = last.subarray(Math.max(0, last.length - tailBytes));
  return {
    text: total <= maxBytes
      ? decode(last.subarray(last.length - total))
      : withoutMiddle(concat(head), last, { maxBytes, total }),
    tail: decode(tail),
    tailIsWhole: tail.length === total,
  };
}

/** Cuts between characters, not within one. */
function withoutMiddle(
  head: Uint8Array,
  end: Uint8Array,
  { maxBytes, total }: { readonly maxBytes: number; readonly total: number },
): string {
  let headEnd = head.length;
  for (let back = 0; back < 4 && isContinuation(head[headEnd - 1]); back++) headEnd--;
  // A first byte whose character was cut, or that has none after it any more.
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

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
