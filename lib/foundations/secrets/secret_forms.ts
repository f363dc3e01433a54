/**
 * The forms in which a secret may appear in a log.
 *
 * Programs print a secret as it is, but also inside JSON, in URLs, in shell traces and in
 * `Authorization: Basic` headers. Each form becomes byte patterns for the redactor. Values derived
 * with a key or a hash cannot be foreseen and are not masked.
 *
 * The patterns of all secrets together are bounded, as compiling and holding them takes time and
 * memory. Every value is masked as it is. What is left is shared out among the values; one that needs
 * more than its share is masked in the most common forms only.
 *
 * @module
 */

import { encode, type Form, FORMS } from "@lib/foundations/secrets/form_table.ts";

/** Shortest value that is masked, in bytes; masking less would mask half the log. */
export const SECRET_MIN_BYTES = 4;

/**
 * Longest pattern, in bytes. Longer forms are cut into overlapping pieces of this length, which
 * together cover them; so a redactor never holds back more.
 */
export const PATTERN_MAX_BYTES = 1024;

/** Most bytes of patterns of one job; of an older one, its values as they are may take more. */
export const PATTERNS_MAX_BYTES = 2 * 1024 * 1024;

/** Returns true if a value is long enough to be masked. */
export function isMaskable(value: string): boolean {
  return encode(value.trim()).length >= SECRET_MIN_BYTES;
}

/**
 * Yields the byte patterns of every secret, and does the work for the next ones only then.
 *
 * White space around a value, and around each line of it, is not masked.
 *
 * @param secrets Values by name.
 * @returns Patterns, none empty, none longer than {@linkcode PATTERN_MAX_BYTES}; `undefined` where
 * much work made none.
 */
export function* secretForms(
  secrets: ReadonlyMap<string, string>,
): Generator<Uint8Array | undefined> {
  const pace = new Pace();
  const found = yield* valuesIn(secrets.values(), pace);
  const values = [...found].sort((one, other) => one.length - other.length);
  const patterns = new PatternSet();
  for (const value of values) {
    for (const text of [...textsOf(value), collapsed(value)]) {
      yield* patterns.add(text);
      if (pace.isStep(text.length)) yield undefined;
    }
  }
  for (const [at, value] of values.entries()) {
    // An equal share of what is left; what a short value does not need is left to the longer ones.
    const end = patterns.bytes + (PATTERNS_MAX_BYTES - patterns.bytes) / (values.length - at);
    yield* formsOf(value, { patterns, pace, end });
  }
}

/** Divides work into steps, even if it makes no new patterns. */
class Pace {
  #chars = 0;

  /** Counts work on a text of `chars` characters; returns true at the end of a step. */
  isStep(chars: number): boolean {
    this.#chars += chars + CALL_CHARS;
    if (this.#chars < STEP_CHARS) return false;
    this.#chars = 0;
    return true;
  }
}

/** Characters that are encoded in one step. */
const STEP_CHARS = 4 * 1024;
/** Characters whose encoding takes as long as all else about a text. */
const CALL_CHARS = 16;
/** Longest piece of a text that is encoded at once. */
const PIECE_CHARS = 2 * 1024;

/**
 * Returns what is masked: the values, those in quotes without them too, and the strings in those
 * that are JSON documents, which programs parse and print one by one.
 */
function* valuesIn(
  secrets: Iterable<string>,
  pace: Pace,
): Generator<undefined, ReadonlySet<string>> {
  const values = new Set<string>();
  let texts: Iterable<string> = secrets;
  for (let depth = 0; depth <= OPEN_DEPTH; depth++) {
    const inner = new Set<string>();
    for (const text of texts) {
      const value = text.trim();
      if (pace.isStep(value.length)) yield undefined;
      if (!isMaskable(value) || values.has(value)) continue;
      values.add(value);
      if (depth === OPEN_DEPTH) continue;
      const [, , inside] = /^(["'`])(.*)\1$/s.exec(value) ?? [];
      if (inside !== undefined) inner.add(inside);
      for (const string of stringsIn(value)) {
        inner.add(string);
        if (pace.isStep(0)) yield undefined;
      }
    }
    texts = inner;
  }
  return values;
}

/** Times that the quotes of a value, or the documents in its strings, are opened. */
const OPEN_DEPTH = 3;

/** Yields the strings in a JSON document, without its keys; none if it is something else. */
function* stringsIn(text: string): Generator<string> {
  const open = [documentIn(text)];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value === "string") yield value;
    else if (typeof value === "object" && value !== null) {
      // One by one, as a call takes only so many arguments.
      for (const inner of Object.values(value)) open.push(inner);
    }
  }
}

/** Returns the JSON document that a text is, or `undefined`. */
function documentIn(text: string): unknown {
  if (!/^[{["]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Returns what an unquoted word in a shell becomes. */
function collapsed(text: string): string {
  return text.replace(/[ \t\n]+/g, " ");
}

/** Yields the forms of a value until the patterns take `end` bytes. */
function* formsOf(
  value: string,
  { patterns, pace, end }: {
    readonly patterns: PatternSet;
    readonly pace: Pace;
    readonly end: number;
  },
): Generator<Uint8Array | undefined> {
  const texts = textsOf(value);
  for (const { write, of, atOnce } of FORMS) {
    for (const text of of === "value" ? [value] : texts) {
      const isShort = atOnce === true || text.length <= PIECE_CHARS;
      for (const form of isShort ? write(text) : yield* inPieces(text, write, pace)) {
        if (patterns.bytes + form.length > end) return;
        yield* patterns.add(form);
      }
      if (pace.isStep(isShort ? text.length : 0)) yield undefined;
    }
  }
}

/** Encodes a long text piece by piece. */
function* inPieces(
  text: string,
  write: Form["write"],
  pace: Pace,
): Generator<undefined, readonly string[]> {
  const whole: string[] = [];
  for (let start = 0; start < text.length;) {
    let end = start + PIECE_CHARS;
    if (isHighSurrogate(text.charCodeAt(end - 1))) end++;
    let at = 0;
    for (const form of write(text.slice(start, end))) whole[at] = (whole[at++] ?? "") + form;
    if (pace.isStep(end - start)) yield undefined;
    start = end;
  }
  return whole;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

/** Returns the value, with either line break, and its lines. */
function textsOf(value: string): readonly string[] {
  const lines = value.split(/\r\n|\r|\n/);
  if (lines.length === 1) return [value];
  return [value, lines.join("\n"), lines.join("\r\n"), ...lines.map((line) => line.trim())];
}

/** Makes patterns of forms; drops short forms and known ones, cuts long ones. */
class PatternSet {
  readonly #forms = new Set<string>();
  /** Bytes of the patterns so far. */
  bytes = 0;

  *add(form: string): Generator<Uint8Array> {
    if (this.#forms.has(form)) return;
    const bytes = encode(form);
    if (bytes.length < SECRET_MIN_BYTES) return;
    this.#forms.add(form);
    for (let start = 0;; start += PATTERN_MAX_BYTES) {
      const end = Math.min(start + PATTERN_MAX_BYTES, bytes.length);
      const piece = bytes.slice(Math.max(0, Math.min(start, end - PATTERN_MAX_BYTES)), end);
      this.bytes += piece.length;
      yield piece;
      if (end === bytes.length) return;
    }
  }
}
