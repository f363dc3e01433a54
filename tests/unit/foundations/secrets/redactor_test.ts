import assert from "node:assert/strict";
import fc from "fast-check";
import {
  compilePatterns,
  compileSteps,
  maskText,
  Redactor,
} from "@lib/foundations/secrets/redactor.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Masks the slow and obvious way. */
function maskWhole(text: string, patterns: readonly string[]): string {
  const masked = [...text];
  for (const pattern of patterns) {
    for (let at = text.indexOf(pattern); at !== -1; at = text.indexOf(pattern, at + 1)) {
      masked.fill("*", at, at + pattern.length);
    }
  }
  return masked.join("");
}

/** Masks chunk by chunk, cutting at the given places. */
function maskChunks(text: string, patterns: readonly string[], cuts: readonly number[]): string {
  const redactor = new Redactor(compilePatterns(patterns.map(encode)));
  const bytes = encode(text);
  let masked = "";
  let at = 0;
  for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
    masked += decode(redactor.push(bytes.subarray(at, Math.max(at, cut))));
    at = Math.max(at, cut);
  }
  return masked + decode(redactor.flush());
}

/** A small alphabet makes overlaps and near misses common. */
const letters = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom("a", "b", "c"), { minLength, maxLength }).map((units) => units.join(""));
const patternList = fc.array(letters(1, 6), { maxLength: 6 });
const cutList = fc.array(fc.nat(80), { maxLength: 12 });

Deno.test("Redactor masks any chunking as it masks the whole text", () => {
  fc.assert(
    fc.property(letters(0, 80), patternList, cutList, (text, patterns, cuts) => {
      const bounded = cuts.map((cut) => Math.min(cut, text.length));
      assert.equal(maskChunks(text, patterns, bounded), maskWhole(text, patterns));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("Redactor started at any offset, after its lookbehind, yields the suffix", () => {
  fc.assert(
    fc.property(letters(0, 60), patternList, (text, patterns) => {
      const compiled = compilePatterns(patterns.map(encode));
      const whole = maskWhole(text, patterns);
      for (let from = 0; from <= text.length; from++) {
        const behind = Math.min(from, compiled.maxLookbehind);
        const redactor = new Redactor(compiled);
        const head = decode(redactor.push(encode(text.slice(from - behind))));
        assert.equal((head + decode(redactor.flush())).slice(behind), whole.slice(from));
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("Redactor.push() gives back as many bytes as went in, save what may begin a secret", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), patternList, (chunks, patterns) => {
      const compiled = compilePatterns(patterns.map(encode));
      const redactor = new Redactor(compiled);
      let owed = 0;
      for (const chunk of chunks) {
        owed += chunk.length - redactor.push(chunk).length;
        assert.ok(owed >= 0 && owed <= compiled.maxLookbehind);
      }
      assert.equal(redactor.flush().length, owed);
    }),
  );
});

Deno.test("Redactor.push() holds back nothing of a text that begins no secret", () => {
  const redactor = new Redactor(compilePatterns([encode("hunter2")]));
  assert.equal(decode(redactor.push(encode("a line\n"))), "a line\n");
  assert.equal(decode(redactor.push(encode("pass: hunter2"))), "pass: *******");
  assert.equal(decode(redactor.push(encode(" hunt"))), " ");
  assert.equal(decode(redactor.push(encode("ing\n"))), "hunting\n");
});

Deno.test("Redactor.push() neither changes nor keeps its input", () => {
  const redactor = new Redactor(compilePatterns([encode("secret")]));
  const buffer = encode("a secret s");
  const masked = redactor.push(buffer);
  assert.equal(decode(buffer), "a secret s");
  buffer.fill(0);
  assert.equal(decode(masked) + decode(redactor.push(encode("ecret"))), "a ****** ******");
});

Deno.test("Redactor.push() copies where there is nothing to mask", () => {
  const buffer = encode("text");
  const out = new Redactor(compilePatterns([])).push(buffer);
  buffer.fill(0);
  assert.equal(decode(out), "text");
});

Deno.test("Redactor.flush() masks the beginning of a secret where the text was cut", () => {
  const redactor = new Redactor(compilePatterns([encode("hunter2")]));
  assert.equal(decode(redactor.push(encode("x hunte"))), "x ");
  assert.equal(decode(redactor.flush("cut")), "*****");
  assert.equal(decode(redactor.push(encode("x hunte"))), "x ");
  assert.equal(decode(redactor.flush()), "hunte");
});

Deno.test("compilePatterns() leaves out empty patterns and counts equal ones once", () => {
  const compiled = compilePatterns(["", "abc", "abc", "abcd"].map(encode));
  assert.equal(compiled.count, 2);
  assert.equal(compiled.maxLookbehind, 3);
});

Deno.test("compileSteps() visits a bounded number of nodes in a step", () => {
  const patterns = Array.from(
    { length: 3_000 },
    (_, at) => new TextEncoder().encode(((at + 1) * 7919 ** 3).toString(36).repeat(2)),
  );
  const bytes = patterns.reduce((sum, { length }) => sum + length, 0);
  assert.ok([...compileSteps(patterns)].length > 2 * bytes / (8 * 1024) + bytes / (4 * 1024));
});

Deno.test("maskText() masks the beginning of a secret before each cut", () => {
  const patterns = compilePatterns([new TextEncoder().encode("secret-value")]);
  assert.equal(
    maskText(patterns, "secre… secret-v… sec… secret-value secret-"),
    "*****… ********… sec… ************ secret-",
  );
});
