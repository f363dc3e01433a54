import assert from "node:assert/strict";
import * as fc from "fast-check";
import { EventData } from "@lib/features/llm_proxy/event_data.ts";
import { JsonFields } from "@lib/features/llm_proxy/json_fields.ts";

const WANTED = new Set(["model", "usage", "message.usage", "a.b.c", "n"]);

/** Scans a text in pieces; returns the fields of each document. */
function scan(text: string | Uint8Array, cuts: readonly number[] = []) {
  const documents: Record<string, unknown>[] = [];
  const fields = new JsonFields({
    wanted: WANTED,
    onDocument: (found) => documents.push(Object.fromEntries(found)),
  });
  feedCut(fields, typeof text === "string" ? new TextEncoder().encode(text) : text, cuts);
  return documents;
}

function feedCut(
  sink: { feed(bytes: Uint8Array): void },
  bytes: Uint8Array,
  cuts: readonly number[],
) {
  const ends = [...cuts, bytes.length];
  ends.forEach((end, index) => sink.feed(bytes.subarray(ends[index - 1] ?? 0, end)));
}

const DOCUMENT = JSON.stringify({
  id: 'x"{[\\',
  content: [{ model: "not this", usage: { n: 1 } }, "müßig 💥 ]}"],
  model: 'cl"au\\de-ü',
  usage: { input_tokens: 5, list: [1, { model: "no" }], text: 'a}"' },
  message: { model: "no", usage: { output_tokens: 7 }, deep: { usage: 9 } },
  a: { b: { c: null } },
  n: -1.5e3,
});

const FOUND = {
  model: 'cl"au\\de-ü',
  usage: { input_tokens: 5, list: [1, { model: "no" }], text: 'a}"' },
  "message.usage": { output_tokens: 7 },
  "a.b.c": null,
  n: -1500,
};

Deno.test("JsonFields finds the wanted fields, at their level only, cut at every byte", () => {
  const bytes = new TextEncoder().encode(DOCUMENT);
  assert.deepEqual(scan(bytes), [FOUND]);
  for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(scan(bytes, [cut]), [FOUND]);
  assert.deepEqual(scan(bytes, Array.from(bytes, (_, index) => index)), [FOUND]);
  assert.deepEqual(scan(JSON.stringify(JSON.parse(DOCUMENT), null, 2)), [FOUND]);
});

/** The wanted fields, as a parser of whole documents finds them. */
function reference(document: unknown): Record<string, unknown> {
  const at = (value: unknown, path: readonly string[]): unknown => {
    const [name, ...rest] = path;
    if (name === undefined) return value;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? at(new Map(Object.entries(value)).get(name), rest) : undefined;
  };
  return Object.fromEntries(
    [...WANTED].map((path) => [path, at(document, path.split("."))])
      .filter(([, value]) => value !== undefined),
  );
}

Deno.test("JsonFields finds what a parser of the whole document finds, for any document and any cuts", () => {
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.double(), fc.constant(null)),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom("model", "usage", "message", "a", "b", "c", "n", '"}', "\\"),
        tie("tree"),
      ),
    ),
  }));
  const document = fc.dictionary(fc.constantFrom("usage", "message", "a", "n", "x"), tree);
  fc.assert(
    fc.property(document, fc.array(fc.nat(400)), fc.boolean(), (value, cuts, isIndented) => {
      const text = JSON.stringify(value, null, isIndented ? 2 : undefined);
      const bytes = new TextEncoder().encode(text);
      const within = cuts.filter((cut) => cut < bytes.length).sort((one, other) => one - other);
      const wanted = reference(JSON.parse(text));
      assert.deepEqual(scan(bytes, within), Object.keys(wanted).length === 0 ? [] : [wanted]);
    }),
    { numRuns: 200 },
  );
});

Deno.test("JsonFields reads documents in a row, in lines, and as elements of an array", () => {
  const one = { model: "a", usage: { x: 1 } };
  const two = { n: 2 };
  const pair = [JSON.stringify(one), JSON.stringify(two)];
  assert.deepEqual(scan(pair.join("")), [one, two]);
  assert.deepEqual(scan(pair.join("\r\n")), [one, two]);
  assert.deepEqual(scan(`[${pair.join(",\n")}]`), [one, two]);
  assert.deepEqual(scan('[[{"n":1}]]'), []);
  assert.deepEqual(scan('{"x":1}{"n":3}'), [{ n: 3 }]);
});

Deno.test("JsonFields goes on after what is no JSON, and is not exhausted by it", () => {
  assert.deepEqual(scan('}}]] {"n":1}'), [{ n: 1 }]);
  assert.deepEqual(scan('{"n":nonsense}{"n":4}'), [{ n: 4 }]);
  assert.deepEqual(scan("[".repeat(100_000)), []);
  assert.deepEqual(scan(`{"x":${"[".repeat(9)}${"]".repeat(9)},"n":1}`), [{ n: 1 }]);
  assert.deepEqual(scan(`{"model":"${"x".repeat(50_000)}","n":1}`), [{ n: 1 }]);
  assert.deepEqual(scan(`{"${"k".repeat(50_000)}":1,"n":1}`), [{ n: 1 }]);
  assert.deepEqual(scan(`{"n":1,"x":"${"y".repeat(100_000)}\\"","usage":2}`), [{ n: 1, usage: 2 }]);
});

Deno.test("EventData passes on the data of events, whatever the line ends and the cuts", () => {
  const events = (end: string) =>
    [
      ": comment",
      "",
      "event: message_start",
      'data: {"n":1,"model":"ü"}',
      "",
      'data:{"usage":',
      "data: 2}",
      "",
      'datax: {"n":8}',
      "data",
      'data: {"model":"cut',
      "",
      'data: {"n":3}',
      "",
      "data: [DONE]",
      "",
      "",
    ].join(end);
  for (const end of ["\n", "\r\n", "\r"]) {
    const bytes = new TextEncoder().encode(events(end));
    for (let cut = 0; cut <= bytes.length; cut++) {
      const found: Record<string, unknown>[] = [];
      const fields = new JsonFields({
        wanted: WANTED,
        onDocument: (document) => found.push(Object.fromEntries(document)),
      });
      feedCut(new EventData(fields), bytes, cut === 0 ? [...bytes.keys()] : [cut]);
      assert.deepEqual(found, [{ n: 1, model: "ü" }, { usage: 2 }, { n: 3 }], `${end} ${cut}`);
    }
  }
});
