/**
 * The forms in which a secret may appear in a log.
 *
 * Programs print a secret as it is, but also inside JSON, in URLs, in shell traces and in
 * `Authorization: Basic` headers. Each form becomes a byte pattern for the redactor. Values derived
 * with a key or a hash cannot be foreseen and are not masked.
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

/** Longer values, in bytes, are masked only as they are, in JSON and in base64, to save memory. */
export const LARGE_SECRET_BYTES = 8 * 1024;

/**
 * Lists the byte patterns of every secret.
 *
 * White space around a value, and around each line of it, is not masked.
 *
 * @param secrets Values by name.
 * @returns Distinct patterns, none empty, none longer than {@linkcode PATTERN_MAX_BYTES}, and the
 * names of the secrets too short to be masked.
 */
export function secretForms(
  secrets: ReadonlyMap<string, string>,
): { readonly patterns: readonly Uint8Array[]; readonly unmasked: readonly string[] } {
  const forms = new FormSet();
  const unmasked: string[] = [];
  for (const [name, value] of secrets) {
    const whole = value.trim();
    if (encode(whole).length < SECRET_MIN_BYTES) {
      if (value !== "") unmasked.push(name);
      continue;
    }
    const bytes = encode(whole);
    const addForms = bytes.length > LARGE_SECRET_BYTES ? addPlainForms : addTextForms;
    addForms(forms, whole);
    addBase64Forms(forms, bytes);
    if (bytes.length <= LARGE_SECRET_BYTES) {
      forms.add(bytes.toHex());
      forms.add(bytes.toHex().toUpperCase());
    }
    const lines = whole.split(/\r\n|\r|\n/);
    if (lines.length === 1) continue;
    addForms(forms, lines.join("\n"));
    addForms(forms, lines.join("\r\n"));
    for (const line of lines) addForms(forms, line.trim());
  }
  return { patterns: forms.patterns(), unmasked };
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Collects patterns; drops short forms, cuts long ones. */
class FormSet {
  readonly #forms = new Map<string, Uint8Array>();

  add(form: string): void {
    const bytes = encode(form);
    if (bytes.length < SECRET_MIN_BYTES) return;
    for (let start = 0;; start += PATTERN_MAX_BYTES) {
      const end = Math.min(start + PATTERN_MAX_BYTES, bytes.length);
      const piece = bytes.slice(Math.max(0, Math.min(start, end - PATTERN_MAX_BYTES)), end);
      this.#forms.set(piece.toBase64(), piece);
      if (end === bytes.length) return;
    }
  }

  patterns(): Uint8Array[] {
    return [...this.#forms.values()];
  }
}

/** Adds the forms made from characters, of a value or a line of it. */
function addTextForms(forms: FormSet, text: string): void {
  if (encode(text).length < SECRET_MIN_BYTES) return;
  addPlainForms(forms, text);
  for (const safe of PERCENT_SAFE) {
    for (const upper of [true, false]) forms.add(percentEncode(text, safe, upper));
  }
  forms.add(text.replaceAll("'", `'\\''`));
  forms.add(text.replaceAll("'", `'"'"'`));
  forms.add(text.replace(/[\\"$`]/g, "\\$&"));
  forms.add(text.replace(/[^A-Za-z0-9_@%+=:,./\n\u0080-\uffff-]/g, "\\$&"));
  const xml = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  forms.add(xml);
  forms.add(xml.replaceAll('"', "&quot;"));
  forms.add(xml.replaceAll('"', "&quot;").replaceAll("'", "&#39;"));
}

/** Adds the text itself, and the inside of a JSON string as common encoders write it. */
function addPlainForms(forms: FormSet, text: string): void {
  if (encode(text).length < SECRET_MIN_BYTES) return;
  forms.add(text);
  const json = JSON.stringify(text).slice(1, -1);
  forms.add(json);
  forms.add(json.replaceAll("/", "\\/"));
  forms.add(json.replace(/[<>&]/g, unicodeEscape));
  forms.add(json.replace(/[\u007f-\uffff]/g, unicodeEscape));
}

function unicodeEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Characters that RFC 3986, `encodeURIComponent`, path encoders and HTML forms do not encode. */
const PERCENT_SAFE: readonly RegExp[] = [
  /[A-Za-z0-9._~-]/,
  /[A-Za-z0-9._~!*'()-]/,
  /[A-Za-z0-9._~/-]/,
  /[A-Za-z0-9._* -]/,
];

function percentEncode(text: string, safe: RegExp, upper: boolean): string {
  let encoded = "";
  for (const byte of encode(text)) {
    const char = String.fromCharCode(byte);
    const hex = byte.toString(16).padStart(2, "0");
    // A space is safe only in the form encoding, which writes it as "+".
    if (safe.test(char)) encoded += char === " " ? "+" : char;
    else encoded += `%${upper ? hex.toUpperCase() : hex}`;
  }
  return encoded;
}

function addBase64Forms(forms: FormSet, value: Uint8Array): void {
  // Encoded alone, or with a line break as `echo` adds, the last character is masked too.
  for (const end of ["", "\n"]) {
    addBase64(forms, new Uint8Array([...value, ...encode(end)]).toBase64());
  }
  for (const shift of [0, 1, 2]) {
    const text = stableBase64(value, shift);
    addBase64(forms, text);
    if (shift > 0) continue;
    // `base64` breaks lines after 76 characters, `openssl base64` after 64.
    for (const width of [76, 64]) {
      for (let at = 0; at < text.length && text.length > width; at += width) {
        const line = text.slice(at, at + width);
        if (line.length >= 2 * SECRET_MIN_BYTES) forms.add(line);
      }
    }
  }
}

/** Adds the standard and the URL-safe alphabet. */
function addBase64(forms: FormSet, text: string): void {
  forms.add(text);
  forms.add(text.replaceAll("+", "-").replaceAll("/", "_"));
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
