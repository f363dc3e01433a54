import assert from "node:assert/strict";
import * as fc from "fast-check";
import { CicdError } from "@lib/core/errors.ts";
import { openFernet, parseFernetKey } from "@lib/features/gryt/fernet.ts";
import { sealFernet } from "../../../support/seal_fernet.ts";

const KEY = "-_---_---_---_---_---_---_---_---_---_---_8=";
const STANDARD_KEY = "+/+++/+++/+++/+++/+++/+++/+++/+++/+++/+++/8=";
const TOKEN =
  "gAAAAABlU_EAvCFJ5PPw0Ioy01_5LKylcBUIGLWR8J1ZYmKs97Qc3dXIrVlt75DmmYPGmUaj0SF7LiK3X-qDM_tyoH3Ff7VVIg==";
const field = { field: "GRYT_ENCRYPTION_KEY" };

function opened(key: string, token: string): string {
  const result = openFernet(parseFernetKey(key, field), token);
  assert(result.kind === "opened", "the token is refused");
  return result.text.expose();
}

Deno.test("openFernet() opens a token that Python's cryptography made", () => {
  assert.equal(opened(KEY, TOKEN), "ghp_example");
});

Deno.test("parseFernetKey() takes both alphabets and a line break", () => {
  assert.equal(opened(`${KEY}\n`, TOKEN), "ghp_example");
  assert.equal(opened(`  ${STANDARD_KEY}\r\n`, `${TOKEN}\n`), "ghp_example");
});

Deno.test("parseFernetKey() rejects an invalid key and reveals nothing of it", () => {
  const wrong = [
    "",
    "hunter2-hunter2",
    KEY.slice(0, -1),
    "0123456789abcdef".repeat(4),
    "aHVudGVyMg==",
  ];
  for (const text of wrong) {
    assert.throws(() => parseFernetKey(text, field), (error) => {
      assert(error instanceof CicdError);
      assert.equal(error.code, "invalid_config");
      assert.match(error.message, /GRYT_ENCRYPTION_KEY/);
      assert(text === "" || !error.message.includes(text.slice(0, 12)));
      return true;
    });
  }
});

Deno.test("openFernet() refuses a token of another key, a damaged and a cut one", () => {
  const key = parseFernetKey(KEY, field);
  const other = parseFernetKey(btoa("x".repeat(32)), field);
  assert.equal(openFernet(other, TOKEN).kind, "refused");
  for (
    const token of ["", "ghp_plain", TOKEN.slice(0, -4), TOKEN.slice(0, -2), `A${TOKEN.slice(1)}`]
  ) {
    assert.equal(openFernet(key, token).kind, "refused", token);
  }
});

Deno.test("openFernet() refuses a token in which any bit was turned", () => {
  const key = parseFernetKey(KEY, field);
  const bytes = Uint8Array.fromBase64(TOKEN, { alphabet: "base64url" });
  fc.assert(fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
    const turned = bytes.slice();
    turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(openFernet(key, turned.toBase64({ alphabet: "base64url" })).kind, "refused");
  }));
});

Deno.test("openFernet() opens any text that was sealed with the key", () => {
  const bytes = Uint8Array.fromBase64(STANDARD_KEY);
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    assert.equal(opened(KEY, sealFernet(bytes, text)), text);
  }));
});

Deno.test("openFernet() rejects a signed token whose content is not text", () => {
  const token = sealFernet(Uint8Array.fromBase64(STANDARD_KEY), new Uint8Array([0xff, 0xfe]));
  assert.deepEqual(openFernet(parseFernetKey(KEY, field), token), {
    kind: "refused",
    why: "does not hold text",
  });
});
