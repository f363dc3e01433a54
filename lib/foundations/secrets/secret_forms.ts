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

import { encode, FORMS } from "@lib/foundations/secrets/form_table.ts";

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
  const values = [...valuesIn(secrets.values())].sort((one, other) => one.length - other.length);
  const patterns = new PatternSet();
  for (const value of values) {
    for (const text of textsOf(value)) yield* patterns.add(text);
    yield* patterns.add(collapsed(value));
  }
  for (const [at, value] of values.entries()) {
    // An equal share of what is left; what a short value does not need is left to the longer ones.
    const end = patterns.bytes + (PATTERNS_MAX_BYTES - patterns.bytes) / (values.length - at);
    yield* formsOf(value, patterns, end);
  }
}

/**
 * Returns what is masked: the values, those in quotes without them too, and the strings in those
 * that are JSON documents, which programs parse and print one by one.
 */
function valuesIn(secrets: Iterable<string>): ReadonlySet<string> {
  const values = new Set<string>();
  const add = (text: string, depth: number) => {
    const value = text.trim();
    if (!isMaskable(value) || values.has(value)) return;
    values.add(value);
    const [, , inside] = /^(["'`])(.*)\1$/s.exec(value) ?? [];
    if (inside !== undefined) add(inside, depth);
    if (depth < JSON_DEPTH) { for (const string of stringsIn(value)) add(string, depth + 1); }
  };
  for (const secret of secrets) add(secret, 0);
  return values;
}

/** Documents within the strings of documents that are opened. */
const JSON_DEPTH = 3;

/** Returns the strings in a JSON document, without its keys; none if it is something else. */
function stringsIn(text: string): readonly string[] {
  if (!/^[{["]/.test(text)) return [];
  const strings: string[] = [];
  try {
    JSON.parse(
      text,
      (_key, value: unknown) => void (typeof value === "string" && strings.push(value)),
    );
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return strings;
}

/** Returns what an unquoted word in a shell becomes. */
function collapsed(text: string): string {
  return text.replace(/[ \t\n]+/g, " ");
}

/** Yields the forms of a value until the patterns take `end` bytes. */
function* formsOf(
  value: string,
  patterns: PatternSet,
  end: number,
): Generator<Uint8Array | undefined> {
  let unseen = 0;
  for (const { write, of } of FORMS) {
    for (const text of of === "value" ? [value] : textsOf(value)) {
      for (const form of write(text)) {
        if (patterns.bytes + form.length > end) return;
        yield* patterns.add(form);
      }
      unseen += text.length;
      if (unseen < UNSEEN_CHARS) continue;
      unseen = 0;
      yield undefined;
    }
  }
}

/** Characters that are encoded between two results, even if they make no new patterns. */
const UNSEEN_CHARS = 8 * 1024;

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
