/**
 * Finds a few fields in a stream of JSON, without keeping the rest.
 *
 * An answer may be of any length, cut anywhere, or no JSON at all: the scanner keeps the nesting as a
 * number, the keys of the first levels, and the texts of the wanted values, each up to a bound. Bytes
 * above ASCII are part of strings only, so characters cut in two do not matter.
 *
 * @module
 */

/** The wanted fields of one document, parsed, by their dotted paths. */
export type Fields = ReadonlyMap<string, unknown>;

/** Options for {@linkcode JsonFields}. */
export interface JsonFieldsOptions {
  /** Dotted paths of object members, such as `message.usage`. */
  readonly wanted: ReadonlySet<string>;
  /** Called at the end of each document that has at least one of the wanted fields. */
  readonly onDocument: (fields: Fields) => void;
}

/** One level of nesting that may lead to a wanted field. */
interface Level {
  readonly isArray: boolean;
  /** The path of the members, with a dot at its end; `undefined`: nothing below is wanted. */
  readonly prefix: string | undefined;
  /** A string would be a key. */
  isKeyNext: boolean;
}

/** Levels whose keys are kept. */
const MAX_LEVELS = 6;
const MAX_KEY_BYTES = 64;
/** Longest text of a wanted value. */
const MAX_VALUE_BYTES = 16 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

/**
 * Scans documents that follow each other, with or without line ends between them. The elements of an
 * array at the top are documents of their own.
 */
export class JsonFields {
  readonly #options: JsonFieldsOptions;
  readonly #parents: ReadonlySet<string>;
  #levels: Level[] = [];
  #depth = 0;
  #fields = new Map<string, unknown>();
  #inString = false;
  #isEscaped = false;
  /** The bytes of a key that is being read. */
  #key: number[] | undefined;
  /** The path that the last key completed, until its value begins. */
  #path: string | undefined;
  #captured:
    | { readonly path: string; readonly depth: number; readonly bytes: number[] }
    | undefined;

  constructor(options: JsonFieldsOptions) {
    this.#options = options;
    this.#parents = new Set(
      [...options.wanted].flatMap((path) =>
        path.split(".").slice(0, -1).map((_, index, names) =>
          `${names.slice(0, index + 1).join(".")}.`
        )
      ),
    );
  }

  /** Scans some more bytes. */
  feed(bytes: Uint8Array): void {
    for (let index = 0; index < bytes.length; index++) {
      if (this.#isInUnwantedString) {
        // Most of an answer: its bytes need no more than this.
        while (index < bytes.length && bytes[index] !== QUOTE && bytes[index] !== BACKSLASH) {
          index++;
        }
      }
      const byte = bytes[index];
      if (byte !== undefined) this.#step(byte);
    }
  }

  /** Forgets what is incomplete: the next byte begins a document. */
  reset(): void {
    this.#levels = [];
    this.#depth = 0;
    this.#fields = new Map();
    this.#inString = false;
    this.#isEscaped = false;
    this.#key = undefined;
    this.#path = undefined;
    this.#captured = undefined;
  }

  get #isInUnwantedString(): boolean {
    return this.#inString && !this.#isEscaped && this.#key === undefined &&
      this.#captured === undefined;
  }

  #step(byte: number): void {
    if (this.#inString) return this.#stepInString(byte);
    switch (byte) {
      case QUOTE:
        this.#inString = true;
        if (this.#levels[this.#depth - 1]?.isKeyNext === true) this.#key = [];
        else this.#begin();
        return this.#capture(byte);
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        this.#begin();
        this.#capture(byte);
        return this.#open(byte === OPEN_ARRAY);
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        return this.#close(byte);
      case COMMA: {
        this.#endValue();
        const level = this.#levels[this.#depth - 1];
        if (level !== undefined) level.isKeyNext = !level.isArray;
        return this.#capture(byte);
      }
      case COLON:
        return this.#capture(byte);
      default:
        if (byte <= SPACE) return;
        this.#begin();
        return this.#capture(byte);
    }
  }

  #stepInString(byte: number): void {
    this.#capture(byte);
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) return this.#endString();
    if (this.#key !== undefined && this.#key.length < MAX_KEY_BYTES) this.#key.push(byte);
  }

  #endString(): void {
    this.#inString = false;
    const level = this.#levels[this.#depth - 1];
    if (this.#key === undefined || level === undefined) return;
    const key = String.fromCharCode(...this.#key);
    this.#key = undefined;
    level.isKeyNext = false;
    this.#path = level.prefix === undefined ? undefined : `${level.prefix}${key}`;
  }

  /** A value begins: of the last key, if it is a member. */
  #begin(): void {
    const path = this.#path;
    if (path === undefined || this.#captured !== undefined) return;
    if (!this.#options.wanted.has(path)) return;
    this.#path = undefined;
    this.#captured = { path, depth: this.#depth, bytes: [] };
  }

  #open(isArray: boolean): void {
    const parent = this.#levels[this.#depth - 1];
    const below = this.#path === undefined ? undefined : `${this.#path}.`;
    this.#path = undefined;
    const isDocument = this.#depth === 0 || (this.#depth === 1 && parent?.isArray === true);
    const prefix = isDocument
      ? ""
      : below !== undefined && this.#parents.has(below)
      ? below
      : undefined;
    if (this.#depth < MAX_LEVELS) this.#levels.push({ isArray, prefix, isKeyNext: !isArray });
    this.#depth++;
  }

  #close(byte: number): void {
    // One too many is no JSON.
    if (this.#depth === 0) return this.reset();
    if (this.#captured?.depth === this.#depth) this.#endValue();
    this.#depth--;
    if (this.#levels.length > this.#depth) this.#levels.length = this.#depth;
    this.#path = undefined;
    this.#capture(byte);
    if (this.#captured?.depth === this.#depth) this.#endValue();
    if (this.#depth === 0 || (this.#depth === 1 && this.#levels[0]?.isArray === true)) {
      this.#endDocument();
    }
  }

  #capture(byte: number): void {
    const { bytes } = this.#captured ?? {};
    if (bytes !== undefined && bytes.length <= MAX_VALUE_BYTES) bytes.push(byte);
  }

  /** A value of the current level has ended. */
  #endValue(): void {
    this.#path = undefined;
    if (this.#captured?.depth !== this.#depth) return;
    const { path, bytes } = this.#captured;
    this.#captured = undefined;
    if (bytes.length > MAX_VALUE_BYTES) return;
    const value = parsedOrUndefined(new TextDecoder().decode(Uint8Array.from(bytes)));
    if (value !== undefined) this.#fields.set(path, value);
  }

  #endDocument(): void {
    if (this.#fields.size === 0) return;
    const fields = this.#fields;
    this.#fields = new Map();
    this.#options.onDocument(fields);
  }
}

function parsedOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
