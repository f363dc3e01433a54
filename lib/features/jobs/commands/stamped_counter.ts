/**
 * Where in a log one stands, told from what was received of it.
 *
 * @module
 */

/** Counts the bytes of a log in what is received. */
export interface ByteCounter {
  /** A stream begins after the last byte counted: what was held back comes again. */
  begin(): void;
  /** Takes what was received. */
  take(chunk: Uint8Array): CountedBytes;
  /** The stream has given all there is: what was held back is no stamp. */
  flush(): CountedBytes;
}

/** The part of a chunk that may be written. */
export interface CountedBytes {
  readonly bytes: Uint8Array;
  /** Bytes of the log that they stand for. */
  readonly consumed: number;
}

/** Counts a log that comes as it is. */
export function plainCounter(): ByteCounter {
  return {
    take: (chunk) => ({ bytes: chunk, consumed: chunk.length }),
    begin() {},
    flush: () => ({ bytes: new Uint8Array(), consumed: 0 }),
  };
}

const NEWLINE = 10;
/** `2026-01-02T03:04:05.678Z `, put before each line by the runner. */
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z $/;
const STAMP_BYTES = 25;

/**
 * Counts a log whose lines begin with their time: the stamps are not in the log.
 *
 * A stamp is held back until a byte of its line has come: after a break, both come again.
 */
export function stampedCounter(): ByteCounter {
  let held = new Uint8Array();
  /** A reading that begins within a line gets no stamp before its first byte. */
  let line: "unknown" | "start" | "within" = "unknown";
  return {
    take(chunk) {
      const bytes = held.length === 0 ? chunk : joined(held, chunk);
      held = new Uint8Array();
      let consumed = 0;
      let at = 0;
      while (at < bytes.length) {
        if (line !== "within") {
          if (bytes.length - at <= STAMP_BYTES) {
            held = bytes.slice(at);
            break;
          }
          const stamp = new TextDecoder().decode(bytes.subarray(at, at + STAMP_BYTES));
          if (line === "start" || STAMP.test(stamp)) at += STAMP_BYTES;
          line = "within";
        }
        const newline = bytes.indexOf(NEWLINE, at);
        const end = newline < 0 ? bytes.length : newline + 1;
        consumed += end - at;
        at = end;
        if (newline >= 0) line = "start";
      }
      return { bytes: bytes.subarray(0, at), consumed };
    },
    begin() {
      held = new Uint8Array();
    },
    flush() {
      // At the start of a line it is the beginning of a stamp, and the line is still to come.
      const bytes = line === "unknown" ? held : new Uint8Array();
      held = new Uint8Array();
      if (bytes.length > 0) line = "within";
      return { bytes, consumed: bytes.length };
    },
  };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
