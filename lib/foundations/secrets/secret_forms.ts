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
  const values = [...new Set([...secrets.values()].map((value) => value.trim()))]
    .filter(isMaskable)
    .sort((one, other) => one.length - other.length);
  const patterns = new PatternSet();
  for (const value of values) {
    for (const text of textsOf(value)) yield* patterns.add(text);
  }
  for (const [at, value] of values.entries()) {
    // An equal share of what is left; what a short value does not need is left to the longer ones.
    const end = patterns.bytes + (PATTERNS_MAX_BYTES - patterns.bytes) / (values.length - at);
    yield* formsOf(value, patterns, end);
  }
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

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
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

/** The way in which some programs write a secret. */
interface Form {
  /** The programs that write it so. */
  readonly encoder: string;
  /** It is made of whole values, not of their lines too. */
  readonly of?: "value";
  readonly write: (text: string) => Iterable<string>;
}

/** The forms besides the value as it is, the most common ones first. */
const FORMS: readonly Form[] = [
  { encoder: "JSON.stringify, jq, Python's json without ensure_ascii", write: (t) => [json(t)] },
  { encoder: "PHP's json_encode", write: (t) => [json(t).replaceAll("/", "\\/")] },
  { encoder: "Go's encoding/json", write: (t) => [json(t).replace(/[<>&]/g, unicodeEscape)] },
  {
    encoder: "Python's json, jq --ascii-output",
    write: (t) => [json(t).replace(/[\u007f-\uffff]/g, unicodeEscape)],
  },
  { encoder: "base64, openssl base64, Authorization: Basic", of: "value", write: base64Forms },
  {
    encoder: "xxd, od, Buffer.toString('hex')",
    of: "value",
    write: (t) => [encode(t).toHex(), encode(t).toHex().toUpperCase()],
  },
  { encoder: "Python's quote with safe=''", write: (t) => percent(t, /[A-Za-z0-9._~-]/) },
  { encoder: "encodeURIComponent", write: (t) => percent(t, /[A-Za-z0-9._~!*'()-]/) },
  { encoder: "Python's quote, path encoders", write: (t) => percent(t, /[A-Za-z0-9._~/-]/) },
  // A space is safe only in the form encoding, which writes it as "+".
  { encoder: "URLSearchParams", write: (t) => percent(t, /[A-Za-z0-9._* -]/) },
  {
    encoder: "sh -x, Python's shlex.quote",
    write: (t) => [t.replaceAll("'", `'\\''`), t.replaceAll("'", `'"'"'`)],
  },
  { encoder: "a double-quoted shell word", write: (t) => [t.replace(/[\\"$`]/g, "\\$&")] },
  {
    encoder: "Ruby's Shellwords.escape",
    write: (t) => [t.replace(/[^A-Za-z0-9_@%+=:,./\n\u0080-\uffff-]/g, "\\$&")],
  },
  { encoder: "XML text", write: (t) => [xml(t)] },
  { encoder: "XML attributes", write: (t) => [xml(t).replaceAll('"', "&quot;")] },
  {
    encoder: "Go's html.EscapeString in part, PHP's htmlspecialchars",
    write: (t) => [xml(t).replaceAll('"', "&quot;").replaceAll("'", "&#39;")],
  },
];

/** Returns the inside of a JSON string. */
function json(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function unicodeEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function xml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Percent-encodes all but the `safe` characters, with the digits in upper and in lower case. */
function percent(text: string, safe: RegExp): readonly string[] {
  const bytes = encode(text);
  return [true, false].map((upper) => {
    const codes = Array.from({ length: 256 }, (_, byte) => {
      const char = String.fromCharCode(byte);
      if (safe.test(char)) return char === " " ? "+" : char;
      const hex = byte.toString(16).padStart(2, "0");
      return `%${upper ? hex.toUpperCase() : hex}`;
    });
    return Array.from(bytes, (byte) => codes[byte]).join("");
  });
}

/** Yields base64 at each place in an encoded text, in both alphabets, whole and broken into lines. */
function* base64Forms(value: string): Generator<string> {
  const bytes = encode(value);
  // Encoded alone, or with a line break as `echo` adds, the last character is masked too.
  for (const end of ["", "\n"]) yield* bothAlphabets(encode(value + end).toBase64());
  for (const shift of [0, 1, 2]) yield* bothAlphabets(stableBase64(bytes, shift));
  const text = stableBase64(bytes, 0);
  // `base64` breaks lines after 76 characters, `openssl base64` after 64.
  for (const width of [76, 64]) {
    for (let at = 0; at < text.length && text.length > width; at += width) {
      const line = text.slice(at, at + width);
      if (line.length >= 2 * SECRET_MIN_BYTES) yield line;
    }
  }
}

/** Yields the standard and the URL-safe alphabet. */
function* bothAlphabets(text: string): Generator<string> {
  yield text;
  yield text.replaceAll("+", "-").replaceAll("/", "_");
}

/**
 * Returns the characters of the base64 text of `value` that do not depend on the bytes before it
 * (`shift` bytes into a group of three) or after it.
 */
function stableBase64(value: Uint8Array, shift: number): string {
  const padded = new Uint8Array(shift + value.length);
  padded.set(value, shift);
  const text = padded.toBase64();
  const firstStable = Math.ceil(shift * 8 / 6);
  return text.slice(firstStable, Math.floor(padded.length * 8 / 6));
}
