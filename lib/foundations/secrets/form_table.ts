/**
 * The forms of a secret: how programs write a text, by the encoder that does so.
 *
 * @module
 */

/** The way in which some programs write a secret. */
export interface Form {
  /** The programs that write it so. */
  readonly encoder: string;
  /** It is made of whole values, not of their lines too. */
  readonly of?: "value";
  /** It writes a character by those around it, so a long text is not cut for it. */
  readonly atOnce?: true;
  readonly write: (text: string) => Iterable<string>;
}

/** The forms besides the value as it is, the most common ones first. */
export const FORMS: readonly Form[] = [
  { encoder: "JSON.stringify, jq, Python's json without ensure_ascii", write: (t) => [json(t)] },
  { encoder: "Go's encoding/json", write: (t) => [json(t).replace(GO_JSON, unicode)] },
  { encoder: "Python's json, jq --ascii-output", write: (t) => [json(t).replace(BEYOND, unicode)] },
  { encoder: "jq, which escapes DEL", write: (t) => [json(t).replaceAll("\x7f", "\\u007f")] },
  {
    encoder: "base64, openssl base64, Authorization: Basic",
    of: "value",
    atOnce: true,
    write: base64Forms,
  },
  {
    encoder: "xxd, od, Buffer.toString('hex')",
    of: "value",
    write: (t) => [encode(t).toHex(), encode(t).toHex().toUpperCase()],
  },
  {
    encoder: "Python's quote with safe='', jq's @uri",
    write: (t) => percent(t, /[A-Za-z0-9._~-]/),
  },
  { encoder: "encodeURIComponent", write: (t) => percent(t, /[A-Za-z0-9._~!*'()-]/) },
  { encoder: "Python's quote, path encoders", write: (t) => percent(t, /[A-Za-z0-9._~/-]/) },
  // A space is safe only in the form encoding, which writes it as "+".
  { encoder: "URLSearchParams", write: (t) => percent(t, /[A-Za-z0-9._* -]/) },
  {
    encoder: "Python's quote_plus, Go's QueryEscape",
    write: (t) => percent(t, /[A-Za-z0-9._~ -]/),
  },
  { encoder: "encodeURI", write: (t) => percent(t, /[A-Za-z0-9;,/?:@&=+$_.!~*'()#-]/) },
  { encoder: "Go's PathEscape", write: (t) => percent(t, /[A-Za-z0-9._~$&+:=@-]/) },
  { encoder: "Go's UserPassword", write: (t) => percent(t, /[A-Za-z0-9._~$&+,;=-]/) },
  { encoder: "the userinfo of new URL()", write: (t) => percent(t, /[A-Za-z0-9._~!$%&'()*+,-]/) },
  {
    encoder: "sh -x, Python's shlex.quote, bash's ${x@Q}",
    write: (t) => [t.replaceAll("'", `'\\''`), t.replaceAll("'", `'"'"'`)],
  },
  { encoder: "a double-quoted shell word", write: (t) => [t.replace(/[\\"$`]/g, "\\$&")] },
  {
    encoder: "Ruby's Shellwords.escape",
    write: (t) => [t.replace(/[^A-Za-z0-9_@%+=:,./\n\u0080-\uffff-]/g, "\\$&")],
  },
  {
    encoder: "bash's printf %q",
    atOnce: true,
    write: (t) => [t.replace(/[\\'"`$&;|<>(){}[\]!^*?, ]|^[~#]|(?<=[:=])~/g, "\\$&")],
  },
  { encoder: "bash's printf %q of control characters, bash -x", write: (t) => [ansiC(t)] },
  { encoder: "the same outside of a UTF-8 locale", write: (t) => [octal(ansiC(t))] },
  { encoder: "Python's repr", write: (t) => [repr(t), repr(t).replaceAll("'", "\\'")] },
  {
    encoder: "Python's repr of bytes",
    write: (t) => {
      const text = hexBytes(repr(t));
      return [text, text.replaceAll("'", "\\'")];
    },
  },
  { encoder: "XML text", write: (t) => [xml(t)] },
  { encoder: "XML attributes", write: (t) => [html(t, "&quot;", "'")] },
  {
    encoder: "jq's @html, lodash, Ruby's CGI.escapeHTML",
    write: (t) => [html(t, "&quot;", "&#39;")],
  },
  { encoder: "Go's html.EscapeString", write: (t) => [html(t, "&#34;", "&#39;")] },
  { encoder: "Python's html.escape, Django", write: (t) => [html(t, "&quot;", "&#x27;")] },
  { encoder: "PHP's htmlspecialchars", write: (t) => [html(t, "&quot;", "&#039;")] },
  { encoder: "XML libraries, HTML 5", write: (t) => [html(t, "&quot;", "&apos;")] },
  {
    encoder: "Mustache, Handlebars",
    write: (t) => {
      const text = html(t, "&quot;", "&#x27;").replaceAll("`", "&#x60;");
      const all = html(t.replaceAll("=", "\0"), "&quot;", "&#39;").replaceAll("\0", "&#x3D;");
      return [
        text,
        html(t.replaceAll("=", "\0"), "&quot;", "&#x27;").replaceAll("`", "&#x60;")
          .replaceAll("\0", "&#x3D;"),
        all.replaceAll("`", "&#x60;").replaceAll("/", "&#x2F;"),
      ];
    },
  },
  {
    encoder: "Python's xmlcharrefreplace, alone and after html.escape",
    write: (t) => [
      t.replace(NOT_ASCII, decimal),
      html(t, "&quot;", "&#x27;").replace(NOT_ASCII, decimal),
      xml(t).replace(NOT_ASCII, decimal),
    ],
  },
  {
    encoder: "PHP's htmlentities",
    write: (
      t,
    ) => [named(html(t, "&quot;", "&#039;")), named(html(t, "&quot;", "&#39;")), named(xml(t))],
  },
  {
    encoder: "he.encode, in either case",
    write: (t) => {
      const text = t.replace(/["&'<>`\u{80}-\u{10ffff}]/gu, hexEntity);
      return [text, text.replace(/&#x[0-9A-F]+;/g, (one) => one.toLowerCase())];
    },
  },
  {
    encoder: ".NET's System.Text.Json",
    write: (t) => [json(t).replaceAll('\\"', "\\u0022").replace(NET_JSON, upperUnicode)],
  },
  { encoder: "Jackson's ESCAPE_NON_ASCII", write: (t) => [json(t).replace(BEYOND, upperUnicode)] },
  { encoder: "Gson, Rails", write: (t) => [json(t).replace(/[<>&='\u2028\u2029]/g, unicode)] },
  {
    encoder: "PHP's json_encode, with JSON_UNESCAPED_UNICODE too",
    write: (t) => {
      const text = json(t).replaceAll("/", "\\/");
      return [text, text.replace(NOT_ASCII_UNIT, unicode)];
    },
  },
  {
    encoder: "PHP's json_encode with JSON_HEX_TAG, _AMP, _APOS and _QUOT",
    write: (t) => [
      json(t).replaceAll("/", "\\/").replace(NOT_ASCII_UNIT, unicode)
        .replaceAll('\\"', "\\u0022").replace(/[<>&']/g, upperUnicode),
    ],
  },
  {
    encoder: "Go's encoding/xml",
    write: (
      t,
    ) => [html(t, "&#34;", "&#39;").replace(/[\t\n\r]/g, hexEntity).replace(NOT_XML, "\ufffd")],
  },
  {
    encoder: "Python's quoteattr",
    write: (t) => {
      const text = xml(t).replace(/[\t\n\r]/g, decimal);
      return [text, text.replaceAll('"', "&quot;")];
    },
  },
  { encoder: "Go's %q and %+q", write: (t) => [goQuoted(t), goAscii(goQuoted(t))] },
  { encoder: "CSV", write: (t) => [t.replaceAll('"', '""')] },
  { encoder: "SQL, PowerShell, YAML", write: (t) => [t.replaceAll("'", "''")] },
  {
    encoder: "every character as an entity",
    of: "value",
    write: (t) => [t.replace(/./gsu, decimal), t.replace(/./gsu, hexEntity)],
  },
];

/** Characters that Go escapes in JSON. */
const GO_JSON = /[<>&\u2028\u2029]/g;
/** Code units that ASCII encoders of JSON escape. */
const BEYOND = /[\u007f-\uffff]/g;
// deno-lint-ignore no-control-regex -- XML has no form for them
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g;
const NOT_ASCII_UNIT = /[\u0080-\uffff]/g;
const NOT_ASCII = /[\u{80}-\u{10ffff}]/gu;
/** Characters that .NET escapes besides those that JSON requires. */
const NET_JSON = /[&'+<>`\u007f-\uffff]/g;

/** Returns the bytes of a text in UTF-8. */
export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Returns the inside of a JSON string. */
function json(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** Writes a code unit as JSON does. */
function unicode(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function upperUnicode(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

function decimal(char: string): string {
  return `&#${char.codePointAt(0)};`;
}

function hexEntity(char: string): string {
  return `&#x${char.codePointAt(0)?.toString(16).toUpperCase()};`;
}

/** Writes the characters of Latin-1 by name. */
function named(text: string): string {
  return text.replace(
    /[\u00a0-\u00ff]/g,
    (char) => `&${LATIN_1[char.charCodeAt(0) - 0xa0]};`,
  );
}

/** Escapes markup, and quotes as given. */
function html(text: string, quote: string, apostrophe: string): string {
  return xml(text).replaceAll('"', quote).replaceAll("'", apostrophe);
}

/** Writes the inside of a `$'…'` word. */
function ansiC(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex -- these are what is replaced
    /[\\'\u0000-\u001f\u007f]/g,
    (char) => ANSI_C[char] ?? `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}

const ANSI_C: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "'": "\\'",
  "\x07": "\\a",
  "\b": "\\b",
  "\x1b": "\\E",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** Writes the bytes beyond ASCII in octal. */
function octal(text: string): string {
  return text.replace(
    NOT_ASCII,
    (char) => [...encode(char)].map((b) => `\\${b.toString(8)}`).join(""),
  );
}

/** Writes the inside of a Python string. */
function repr(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex -- these are what is replaced
    /[\\\u0000-\u001f\u007f-\u00a0\u00ad]/g,
    (char) => REPR[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

const REPR: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/** Writes the inside of a string of Go. */
function goQuoted(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex -- these are what is replaced
    /[\\"\u0000-\u001f\u007f]/g,
    (char) =>
      char === '"' ? '\\"' : char !== "'" && char !== "\x1b" && ANSI_C[char] ||
        `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Writes the characters beyond ASCII as Go does. */
function goAscii(text: string): string {
  return text.replace(NOT_ASCII, (char) => {
    const hex = (char.codePointAt(0) ?? 0).toString(16);
    return char.length === 1 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  });
}

/** Writes the bytes beyond ASCII in hex. */
function hexBytes(text: string): string {
  return text.replace(
    NOT_ASCII,
    (char) => [...encode(char)].map((b) => `\\x${b.toString(16)}`).join(""),
  );
}

function xml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Percent-encodes all but the `safe` characters, with the digits in upper and in lower case. */
function percent(text: string, safe: RegExp): readonly string[] {
  const bytes = encode(text);
  return [true, false].map((upper) => {
    const codes: string[] = [];
    return Array.from(bytes, (byte) => codes[byte] ??= percentCode(byte, { safe, upper })).join("");
  });
}

function percentCode(
  byte: number,
  { safe, upper }: { readonly safe: RegExp; readonly upper: boolean },
): string {
  const char = String.fromCharCode(byte);
  if (safe.test(char)) return char === " " ? "+" : char;
  const hex = byte.toString(16).padStart(2, "0");
  return `%${upper ? hex.toUpperCase() : hex}`;
}

/** Yields base64 at each place in an encoded text, in both alphabets, whole and broken into lines. */
function* base64Forms(value: string): Generator<string> {
  const bytes = encode(value);
  // Encoded alone, or with a line break as `echo` adds, the last character is masked too.
  for (const end of ["", "\n"]) {
    const text = encode(value + end).toBase64();
    yield* bothAlphabets(text);
    yield* bothAlphabets(text.replace(/=+$/, ""));
  }
  for (const shift of [0, 1, 2]) yield* bothAlphabets(stableBase64(bytes, shift));
  const text = stableBase64(bytes, 0);
  // `base64` breaks lines after 76 characters, `openssl base64` after 64.
  for (const width of [76, 64]) {
    for (let at = 0; at < text.length && text.length > width; at += width) {
      const line = text.slice(at, at + width);
      if (line.length >= LINE_MIN_CHARS) yield line;
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

/** Shortest line of broken base64 that is masked. */
const LINE_MIN_CHARS = 8;

/** The names of the characters from U+00A0 on. */
const LATIN_1 =
  ("nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn " +
    "sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave " +
    "Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml " +
    "ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN " +
    "szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute " +
    "icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml " +
    "yacute thorn yuml").split(" ");
