import assert from "node:assert/strict";
import fc from "fast-check";
import { LineStamper } from "@lib/spine/logs/log_output.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function stampAll(chunks: readonly string[], timeAt: (offset: number) => number): string {
  const stamper = new LineStamper(64);
  let text = "";
  let offset = 0;
  for (const chunk of chunks) {
    const base = offset;
    let consumed = 0;
    for (const piece of stamper.stamp(encode(chunk), (place) => timeAt(base + place))) {
      assert.ok(piece.bytes.length > 0 && piece.bytes.length <= 64);
      assert.ok(piece.consumed >= consumed);
      consumed = piece.consumed;
      text += decode(piece.bytes);
    }
    assert.equal(consumed, chunk.length);
    offset += chunk.length;
  }
  return text;
}

Deno.test("LineStamper.stamp() puts the time of its first byte before each line", () => {
  assert.equal(
    stampAll(["a\nb", "c\n", "\n", "d"], (offset) => offset),
    "1970-01-01T00:00:00.000Z a\n1970-01-01T00:00:00.002Z bc\n" +
      "1970-01-01T00:00:00.005Z \n1970-01-01T00:00:00.006Z d",
  );
});

Deno.test("LineStamper.stamp() stamps any chunking as it stamps the whole text", () => {
  const units = fc.array(fc.constantFrom("x", "yy", "\n"), { maxLength: 120 });
  fc.assert(fc.property(fc.array(units), (groups) => {
    const chunks = groups.map((group) => group.join(""));
    let at = 0;
    const expected = (chunks.join("").match(/[^\n]*\n|[^\n]+$/g) ?? []).map((line) => {
      const stamped = `${new Date(at).toISOString()} ${line}`;
      at += line.length;
      return stamped;
    });
    assert.equal(stampAll(chunks, (offset) => offset), expected.join(""));
  }));
});

Deno.test("LineStamper.stamp() does not stamp the rest of a line begun before", () => {
  const stamper = new LineStamper(64);
  stamper.atLineStart = false;
  const pieces = [...stamper.stamp(encode("rest\nnew"), () => 0)];
  assert.equal(
    pieces.map(({ bytes }) => decode(bytes)).join(""),
    "rest\n1970-01-01T00:00:00.000Z new",
  );
});
