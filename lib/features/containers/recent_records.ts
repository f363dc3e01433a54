/**
 * The last records of a container's output that were read, to find them again in its tail.
 *
 * @module
 */
import type { ContainerStream } from "@lib/foundations/docker/demux.ts";

/** Records that are compared. */
const KEPT = 16;
const SLOT_BYTES = 64;
/** Position of the time in a slot: after the stream, the length of the time and of the payload. */
const STAMP_AT = 8;

const LATIN1 = new TextDecoder("latin1");

/** One record of an engine's log. */
export interface TailRecord {
  readonly stream: ContainerStream;
  /** As the engine writes it. */
  readonly stamp: string;
  readonly bytes: Uint8Array;
}

/** Remembers the last records of a stream, without an allocation for each. */
export class RecentRecords {
  readonly #slots = new Uint8Array(KEPT * SLOT_BYTES);
  readonly #view = new DataView(this.#slots.buffer);
  #count = 0;

  /** The number of records so far. */
  get count(): number {
    return this.#count;
  }

  /** Adds a record. */
  add(stream: ContainerStream, length: number, stamp: Uint8Array): void {
    const at = (this.#count++ % KEPT) * SLOT_BYTES;
    this.#slots[at] = stream === "stdout" ? 1 : 2;
    this.#slots[at + 1] = stamp.length;
    this.#view.setUint32(at + 4, length);
    this.#slots.set(stamp, at + STAMP_AT);
  }

  /**
   * Returns those of the last records of the whole log that come after the ones added here;
   * `undefined` if that is uncertain.
   *
   * The records added are the first of the log and `tail` are its last: where the sequence of the
   * last ones added is found once in the tail, nothing but what follows it is missing. Times that
   * are all the same prove nothing.
   */
  missingOf(tail: readonly TailRecord[]): readonly TailRecord[] | undefined {
    if (this.#count < KEPT) return undefined;
    const last = Array.from({ length: KEPT }, (_, i) => this.#idOf((this.#count + i) % KEPT));
    if (new Set(last.map(({ stamp }) => stamp)).size < 2) return undefined;
    const ends: number[] = [];
    for (let begin = 0; begin + KEPT <= tail.length; begin++) {
      const isHere = last.every(({ stream, stamp, length }, i) => {
        const record = tail[begin + i];
        return record?.stamp === stamp && record.stream === stream &&
          record.bytes.length === length;
      });
      if (isHere) ends.push(begin + KEPT);
    }
    const [end] = ends;
    return end === undefined || ends.length > 1 ? undefined : tail.slice(end);
  }

  #idOf(slot: number) {
    const at = slot * SLOT_BYTES;
    const begin = at + STAMP_AT;
    return {
      stream: this.#slots[at] === 1 ? "stdout" : "stderr",
      length: this.#view.getUint32(at + 4),
      stamp: LATIN1.decode(this.#slots.subarray(begin, begin + (this.#slots[at + 1] ?? 0))),
    };
  }
}
