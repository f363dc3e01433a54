import assert from "node:assert/strict";
import { parseMessage, parseRequest, tame } from "@lib/features/terminals/protocol.ts";

Deno.test("parseRequest() takes a size and a take, and nothing else", () => {
  assert.deepEqual(parseRequest('{"type":"resize","columns":80,"rows":24}'), {
    type: "resize",
    columns: 80,
    rows: 24,
  });
  assert.deepEqual(parseRequest('{"type":"take"}'), { type: "take" });
  for (
    const text of [
      "",
      "null",
      "[]",
      '{"type":"resize"}',
      '{"type":"resize","columns":0,"rows":24}',
      '{"type":"resize","columns":80,"rows":1e9}',
      '{"type":"resize","columns":80.5,"rows":24}',
      '{"type":"exit"}',
    ]
  ) assert.equal(parseRequest(text), undefined, text);
});

Deno.test("parseMessage() leaves out what a newer agent says", () => {
  assert.equal(parseMessage('{"type":"weather"}'), undefined);
  assert.deepEqual(parseMessage('{"type":"screen","more":1}'), { type: "screen" });
});

Deno.test("tame() leaves nothing that a terminal would obey", () => {
  const text = tame("a\x1b]0;x\x07b\u009bc\u202ed\r\ne\u2028f");
  assert.doesNotMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u);
  assert.match(text, /^a.*b.*c.*d.*e.*f$/);
  assert.equal(tame("x".repeat(1_000_000)).length, 120);
});
