/**
 * The ways in which a secret may show up in a log.
 *
 * Programs print a secret as it is, but also inside JSON, in URLs, in shell
 * traces and in `Authorization: Basic` headers. Each such form becomes a byte
 * pattern for the redactor. What is derived by a key or a hash cannot be
 * foreseen and is not masked.
 *
 * @module
 */

/** Shortest value that is masked, in bytes; masking less would mask half the log. */
export const SECRET_MIN_BYTES = 4;

/**
 * Longest pattern, in bytes. A longer form is cut into overlapping pieces of
 * this length, which together cover it; so a redactor never holds back more.
 */
export const PATTERN_MAX_BYTES = 1024;

/** A longer value, in bytes, is masked as it is, in JSON and in base64 only: it costs memory. */
export const LARGE_SECRET_BYTES = 8 * 1024;

/** What is masked, and what cannot be. */
export interface SecretForms {
  /** Distinct, none empty, none longer than {@linkcode PATTERN_MAX_BYTES}. */
  readonly patterns: readonly Uint8Array[];
  /** Names of the secrets too short to be masked. */
  readonly unmasked: readonly string[];
}

/**
 * Lists the byte patterns of every secret.
 *
 * White space around a value, and around each line of it, is not part of what
 * is masked.
 *
 * @param secrets Values by name.
 */
export function secretForms(secrets: ReadonlyMap<string, string>): SecretForms {
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
    if (bytes.length <= LARGE_SECRET_BYTES) addHexForms(forms, bytes);
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

/** Collects patterns; drops what is too short, cuts what is too long. */
class FormSet {
  readonly #forms = new Map<string, Uint8Array>();

  add(form: string | Uint8Array): void {
    const bytes = typeof form === "string" ? encode(form) : form;
    if (bytes.length < SECRET_MIN_BYTES) return;
    for (let start = 0;; start += PATTERN_MAX_BYTES) {
      const end = Math.min(start + PATTERN_MAX_BYTES, bytes.length);
      const piece = bytes.slice(Math.max(0, Math.min(start, end - PATTERN_MAX_BYTES)), end);
      this.#forms.set(latin1(piece), piece);
      if (end === bytes.length) return;
    }
  }

  patterns(): Uint8Array[] {
    return [...this.#forms.values()];
  }
}

/** Forms made from characters; also used for the single lines of a value. */
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

/** The text itself, and as a JSON string's inside by the common encoders. */
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

/** Characters left as they are by: RFC 3986, `encodeURIComponent`, path encoders, HTML forms. */
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
    // A space is safe in the form encoding only, which writes it as "+".
    if (safe.test(char)) encoded += char === " " ? "+" : char;
    else encoded += `%${upper ? hex.toUpperCase() : hex}`;
  }
  return encoded;
}

function addHexForms(forms: FormSet, value: Uint8Array): void {
  const hex = Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  forms.add(hex);
  forms.add(hex.toUpperCase());
}

function addBase64Forms(forms: FormSet, value: Uint8Array): void {
  // Encoded alone, or with its line's end as `echo` does, the last character belongs to it too.
  for (const end of ["", "\n"]) {
    const text = btoa(latin1(value) + end);
    forms.add(text);
    forms.add(text.replaceAll("+", "-").replaceAll("/", "_"));
  }
  for (const shift of [0, 1, 2]) {
    const text = stableBase64(value, shift);
    forms.add(text);
    forms.add(text.replaceAll("+", "-").replaceAll("/", "_"));
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

/**
 * The characters of the base64 text of `value` that do not depend on what
 * stands before it (`shift` bytes into a group of three) or after it.
 */
function stableBase64(value: Uint8Array, shift: number): string {
  const padded = new Uint8Array(shift + value.length);
  padded.set(value, shift);
  const text = btoa(latin1(padded));
  const firstStable = Math.ceil(shift * 8 / 6);
  return text.slice(firstStable, Math.floor(padded.length * 8 / 6));
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
