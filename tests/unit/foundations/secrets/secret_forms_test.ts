import assert from "node:assert/strict";
import fc from "fast-check";
import { compilePatterns, Redactor } from "@lib/foundations/secrets/redactor.ts";
import {
  isMaskable,
  PATTERN_MAX_BYTES,
  PATTERNS_MAX_BYTES,
  secretForms,
} from "@lib/foundations/secrets/secret_forms.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const base64 = (text: string) => btoa(String.fromCharCode(...encode(text)));

function mask(text: string, ...values: string[]): string {
  const patterns = secretForms(new Map(values.map((value, at) => [`S${at}`, value])));
  const redactor = new Redactor(compilePatterns(patterns));
  const head = redactor.push(encode(text));
  return new TextDecoder().decode(head) + new TextDecoder().decode(redactor.flush());
}

const SECRET = `p@ss/w"o'r d$+&<é>`;

const FORMS: ReadonlyArray<readonly [name: string, form: string]> = [
  ["itself", SECRET],
  ["a JSON string", JSON.stringify(SECRET).slice(1, -1)],
  ["a JSON string in ASCII", `p@ss/w\\"o'r d$+&<\\u00e9>`],
  ["a JSON string with escaped slashes", `p@ss\\/w\\"o'r d$+&<é>`],
  ["a JSON string safe for HTML", `p@ss/w\\"o'r d$+\\u0026\\u003cé\\u003e`],
  ["encodeURIComponent", encodeURIComponent(SECRET)],
  [
    "percent encoding in lower case",
    encodeURIComponent(SECRET).replace(/%../g, (x) => x.toLowerCase()),
  ],
  ["a form field", new URLSearchParams([["", SECRET]]).toString().slice(1)],
  ["a quoted path", "p%40ss/w%22o%27r%20d%24%2B%26%3C%C3%A9%3E"],
  ["a single-quoted shell word", `p@ss/w"o'\\''r d$+&<é>`],
  ["a double-quoted shell word", `p@ss/w\\"o'r d\\$+&<é>`],
  ["XML text", `p@ss/w"o'r d$+&amp;&lt;é&gt;`],
  ["hexadecimal", Array.from(encode(SECRET), (b) => b.toString(16).padStart(2, "0")).join("")],
];

/** What the encoders write that a machine may not have. */
const MORE: ReadonlyArray<readonly [name: string, secret: string, form: string]> = [
  ["an unquoted word of a shell", "a b  c\td\n e", "a b c d e"],
  ["a value without its quotes", '"hunter2 x"', "hunter2 x"],
  [".NET's JSON", `a+b"c'é<`, String.raw`a\u002Bb\u0022c\u0027\u00E9\u003C`],
  ["PHP's JSON", "a/é", String.raw`a\/\u00e9`],
  ["PHP's JSON in hex", `a/"'&é`, String.raw`a\/\u0022\u0027\u0026\u00e9`],
  ["PHP's htmlspecialchars", `a"'&b`, "a&quot;&#039;&amp;b"],
  ["PHP's htmlentities", `é"'&ß`, "&eacute;&quot;&#039;&amp;&szlig;"],
  ["Mustache", "a/`='", "a&#x2F;&#x60;&#x3D;&#39;"],
  ["entities in decimal", "aé😀b", "&#97;&#233;&#128512;&#98;"],
  ["entities in hex", "aé😀b", "&#x61;&#xE9;&#x1F600;&#x62;"],
  ["he.encode", `<é"`, "&#x3C;&#xE9;&#x22;"],
  ["Gson", "a=b'c", String.raw`a\u003db\u0027c`],
  ["encodeURI", "p@ss/ü b", "p@ss/%C3%BC%20b"],
  ["a password in a URL", "p@s$s/b^", "p%40s$s%2Fb%5E"],
  ["bash's %q", "a b~c(d)", String.raw`a\ b~c\(d\)`],
  ["bash's %q of controls", "a'\té\x1b", String.raw`a\'\té\E`],
  ["bash's %q in C", "aé\n1", String.raw`a\303\251\n1`],
];

for (const [name, secret, form] of MORE) {
  Deno.test(`secretForms() masks ${name}`, () => {
    assert.equal(mask(`<<${form}>>`, secret), `<<${"*".repeat(encode(form).length)}>>`);
  });
}

Deno.test("secretForms() masks the strings in a value that is a JSON document", () => {
  const inner = JSON.stringify({ auth: "dXNlcjpwYXNz" });
  const value = JSON.stringify({
    type: "ab",
    user: "robot-7",
    keys: ["k/ey&1", 12345, true],
    inner,
  });
  assert.equal(
    mask("robot-7 k/ey&1 k/ey&amp;1 dXNlcjpwYXNz 12345", value),
    [
      ...["*******", "******", "**********", "************", "12345"],
    ].join(" "),
  );
  assert.match(mask(JSON.stringify(JSON.parse(value), null, 2), value), /"user": "[*]{7}"/);
  assert.equal(mask("robot-7 ", '{"user": "robot-7"'), "robot-7 ");
  assert.equal(mask(`${"[".repeat(50_000)} ok`, "[".repeat(50_000)), `${"*".repeat(50_000)} ok`);
});

for (const [name, form] of FORMS) {
  Deno.test(`secretForms() masks a secret as ${name}`, () => {
    assert.equal(mask(`<<${form}>>`, SECRET), `<<${"*".repeat(encode(form).length)}>>`);
  });
}

Deno.test("secretForms() masks base64 wherever the secret stands in the encoded text", () => {
  for (const before of ["", "u", "us", "use"]) {
    for (const after of ["", ":", ":x"]) {
      const text = base64(`${before}${SECRET}${after}`);
      const masked = mask(text, SECRET);
      assert.equal(masked.length, text.length);
      const first = Math.ceil(before.length * 8 / 6);
      const last = Math.floor((before.length + encode(SECRET).length) * 8 / 6);
      assert.equal(masked.slice(first, last), "*".repeat(last - first));
    }
  }
});

Deno.test("secretForms() masks base64 in the alphabet for URLs", () => {
  const text = base64("??>>??>>??>>").replaceAll("+", "-").replaceAll("/", "_");
  assert.equal(mask(text, "??>>??>>??>>"), "*".repeat(text.length));
});

Deno.test("secretForms() masks base64 broken into lines", () => {
  const value = Array.from({ length: 30 }, (_, at) => `part${at}!`).join("");
  for (const width of [64, 76]) {
    const lines = base64(`${value}\n`).match(new RegExp(`.{1,${width}}`, "g")) ?? [];
    assert.ok(lines.length > 2);
    const [first, second] = mask(lines.join("\n"), value).split("\n");
    assert.equal(first, "*".repeat(width));
    assert.equal(second, "*".repeat(width));
  }
});

Deno.test("secretForms() masks a value of several lines whole, by line, and with CRLF", () => {
  const value = "first line\nab\nthird line\n";
  assert.equal(mask("first line", value), "**********");
  assert.equal(mask("+ third line +", value), "+ ********** +");
  assert.equal(mask("ab", value), "ab");
  for (const newline of ["\n", "\r\n"]) {
    const text = ["first line", "ab", "third line"].join(newline);
    assert.equal(mask(text, value), "*".repeat(text.length));
  }
});

Deno.test("secretForms() leaves out secrets too short to be masked", () => {
  assert.deepEqual([" abc\n", "", "äö"].map(isMaskable), [false, false, true]);
  assert.equal(mask("äö abc", " abc\n", "äö"), "**** abc");
});

Deno.test("secretForms() covers a long value with bounded patterns", () => {
  for (const length of [PATTERN_MAX_BYTES + 1, 5 * PATTERN_MAX_BYTES - 3, 8 * 1024 + 7]) {
    const value = Array.from({ length }, (_, at) => String.fromCharCode(97 + (at * at + at) % 23))
      .join("");
    const patterns = secretForms(new Map([["S", value]]));
    assert.ok([...patterns].every((pattern) => (pattern?.length ?? 0) <= PATTERN_MAX_BYTES));
    assert.equal(mask(`<${value}>`, value), `<${"*".repeat(length)}>`);
    assert.equal(mask(base64(value), value).replaceAll("*", "").length < 4, true);
  }
});

Deno.test("secretForms() lets no secret survive in any text, and keeps its length", () => {
  const value = fc.string({ unit: "grapheme", minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(fc.array(value, { maxLength: 4 }), fc.array(fc.string()), (values, filler) => {
      const text = filler.flatMap((part, at) => [part, values[at % values.length] ?? ""]).join(" ");
      const masked = mask(text, ...values);
      assert.equal(encode(masked).length, encode(text).length);
      for (const secret of values.map((one) => one.trim())) {
        if (encode(secret).length < 4 || /^\*+$/.test(secret)) continue;
        assert.ok(!masked.includes(secret));
      }
    }),
  );
});

Deno.test("secretForms() keeps the patterns of a job within bounds, and masks every value", () => {
  const random = new Uint8Array(48 * 1024);
  for (const bytes of [100, 700, 1024]) {
    const values = Array.from({ length: 128 }, (_, at) => {
      for (let from = 0; from < random.length; from += 65_536) crypto.getRandomValues(random);
      return `${at} "${random.subarray(0, bytes).toBase64()}" '<&>`;
    });
    const patterns = [...secretForms(new Map(values.map((value, at) => [`S${at}`, value])))];
    const total = patterns.reduce((sum, pattern) => sum + (pattern?.length ?? 0), 0);
    assert.ok(total <= PATTERNS_MAX_BYTES + 4 * 1024, `${total}`);
    const text = values.join("\n");
    assert.match(mask(text, ...values), /^[*\n]+$/);
  }
});

Deno.test("secretForms() masks the rarer forms of short values beside large ones", () => {
  const large = Array.from({ length: 8_000 }, (_, at) => `line ${at * 7919} <&>`).join("\n");
  assert.equal(mask("p%40ss%20w%C3%B6rd", "p@ss wörd", large), "*".repeat(18));
});

Deno.test("secretForms() works in bounded steps, even where they make no pattern", () => {
  const steps = (value: string) =>
    [...secretForms(new Map([["S", value]]))].filter((pattern) => pattern === undefined).length;
  // A form of one long value, strings of a document, and lines that are all alike.
  assert.ok(steps("\u00e9".repeat(16 * 1024)) > 100);
  assert.ok(steps(JSON.stringify(Array.from({ length: 10_000 }, () => "abc"))) > 100);
  assert.ok(steps("a\n".repeat(8_000)) > 1_000);
});

Deno.test("secretForms() encodes a long value in pieces as it does at once", () => {
  for (const length of [2047, 2048, 4095]) {
    const value = `${"x".repeat(length)}😀'é&~`;
    const entities = value.replace("😀", "&#128512;").replace("é", "&#233;");
    for (const form of [value, encodeURIComponent(value), entities]) {
      assert.match(mask(form, value), /^\*+$/);
    }
  }
});

Deno.test("secretForms() opens documents and quotes of any depth, only so far", () => {
  for (const value of [`${"[".repeat(30_000)}${"]".repeat(30_000)}`, '"'.repeat(10_000)]) {
    const patterns = [...secretForms(new Map([["S", value]]))];
    const total = patterns.reduce((sum, pattern) => sum + (pattern?.length ?? 0), 0);
    assert.ok(total <= PATTERNS_MAX_BYTES, `${total}`);
  }
});
