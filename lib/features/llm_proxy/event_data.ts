/**
 * Takes the data out of a stream of server-sent events.
 *
 * @module
 */

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const FIELD = [..."data:"].map((char) => char.charCodeAt(0));

/** The receiver of the data of events. */
export interface EventDataSink {
  /** Some bytes of the data of an event. */
  feed(bytes: Uint8Array): void;
  /** The event has ended. */
  reset(): void;
}

/** Passes on the data of each event, cut anywhere, and keeps nothing of it. */
export class EventData {
  readonly #sink: EventDataSink;
  /** Bytes of the line so far that are those of the field's name. */
  #matched = 0;
  /** Set when the line is of another field. */
  #isOther = false;
  #isLineEmpty = true;
  /** The line feed of a CR LF ends no line of its own. */
  #isAfterReturn = false;

  constructor(sink: EventDataSink) {
    this.#sink = sink;
  }

  feed(bytes: Uint8Array): void {
    let dataFrom: number | undefined = this.#isData ? 0 : undefined;
    for (const [index, byte] of bytes.entries()) {
      const isFeed = byte === LINE_FEED;
      if (isFeed || byte === CARRIAGE_RETURN) {
        if (dataFrom !== undefined) this.#sink.feed(bytes.subarray(dataFrom, index));
        dataFrom = undefined;
        if (!(isFeed && this.#isAfterReturn)) this.#endLine();
        this.#isAfterReturn = !isFeed;
        continue;
      }
      this.#isAfterReturn = false;
      this.#isLineEmpty = false;
      if (this.#isData || this.#isOther) continue;
      if (byte === FIELD[this.#matched]) this.#matched++;
      else this.#isOther = true;
      if (this.#isData) dataFrom = index + 1;
    }
    if (dataFrom !== undefined && dataFrom < bytes.length) {
      this.#sink.feed(bytes.subarray(dataFrom));
    }
  }

  get #isData(): boolean {
    return this.#matched === FIELD.length;
  }

  #endLine(): void {
    if (this.#isLineEmpty) this.#sink.reset();
    this.#matched = 0;
    this.#isOther = false;
    this.#isLineEmpty = true;
  }
}
