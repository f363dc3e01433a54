import assert from "node:assert/strict";
import * as fc from "fast-check";
import { toLogEvents } from "@lib/features/jobs/log_streams.ts";
import type { LogReading } from "@lib/spine/logs/log_reader.ts";
import { makeJob } from "../../../support/job_fixtures.ts";

interface SeenEvent {
  readonly name: string;
  readonly id: number;
  readonly data: { readonly text?: string; readonly state?: string; readonly exit_code?: number };
}

/** A reading of bytes that lie in memory, in the chunks given. */
function reading(bytes: Uint8Array, from: number, cuts: readonly number[]): LogReading {
  let offset = from;
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const edges = [...cuts.filter((cut) => cut > from && cut < bytes.length), bytes.length];
    for (const edge of edges.sort((a, b) => a - b)) {
      if (edge <= offset) continue;
      const chunk = bytes.subarray(offset, edge);
      offset = edge;
      yield await Promise.resolve(chunk);
    }
  }
  const iterator = chunks();
  return {
    get offset() {
      return offset;
    },
    [Symbol.asyncIterator]: () => iterator,
  };
}

async function events(
  bytes: Uint8Array,
  { from = 0, cuts = [] }: { readonly from?: number; readonly cuts?: readonly number[] } = {},
): Promise<readonly SeenEvent[]> {
  const end = () => makeJob({ state: "failed", reason: "exit_code", exitCode: 3 });
  const interrupted = (error: unknown) => {
    throw error;
  };
  let text = "";
  for await (const part of toLogEvents(reading(bytes, from, cuts), { end, interrupted })) {
    text += new TextDecoder().decode(part);
  }
  assert(text.endsWith("\n\n"));
  return text.slice(0, -2).split("\n\n").map((block) => {
    const match = /^event: (\w+)\nid: (\d+)\ndata: ([^\n]*)$/.exec(block);
    assert(match !== null, `no event: ${block}`);
    return { name: match[1] ?? "", id: Number(match[2]), data: JSON.parse(match[3] ?? "") };
  });
}

function textOf(seen: readonly SeenEvent[]): string {
  return seen.map(({ data }) => data.text ?? "").join("");
}

const plain = new TextDecoder("utf-8", { ignoreBOM: true });

Deno.test("toLogEvents() ends with the job's state and exit code", async () => {
  const seen = await events(new TextEncoder().encode("a\nb\n"));
  assert.deepEqual(seen.map(({ name, id }) => [name, id]), [["log", 4], ["end", 4]]);
  assert.equal(seen.at(-1)?.data.state, "failed");
  assert.equal(seen.at(-1)?.data.exit_code, 3);
});

Deno.test("toLogEvents() loses no byte order mark at the beginning of a chunk", async () => {
  const bytes = new TextEncoder().encode("a\ufeffb");
  assert.equal(textOf(await events(bytes, { cuts: [1] })), "a\ufeffb");
});

Deno.test("toLogEvents() gives the same text however the log is cut, and ids that fit it", async () => {
  const anyText = fc.string({ unit: "binary", maxLength: 60 });
  await fc.assert(fc.asyncProperty(anyText, fc.array(fc.nat(200)), async (text, cuts) => {
    const bytes = new TextEncoder().encode(text);
    const seen = await events(bytes, { cuts });
    assert.equal(textOf(seen), plain.decode(bytes));
    let so = "";
    for (const { id, data } of seen) {
      so += data.text ?? "";
      assert.equal(new TextEncoder().encode(so).length, id);
    }
  }));
});

Deno.test("toLogEvents() shows invalid UTF-8 as a decoder would, however it is split", async () => {
  const anyBytes = fc.array(fc.constantFrom(0x41, 0x80, 0xbf, 0xc3, 0xe2, 0x82, 0xac, 0xf0, 0x9f), {
    maxLength: 24,
  });
  await fc.assert(fc.asyncProperty(anyBytes, fc.array(fc.nat(30)), async (list, cuts) => {
    const bytes = new Uint8Array(list);
    assert.equal(textOf(await events(bytes, { cuts })), plain.decode(bytes));
  }));
});

Deno.test("toLogEvents() resumed after any event gives exactly the rest", async () => {
  const anyText = fc.string({ unit: "grapheme", maxLength: 40 });
  await fc.assert(fc.asyncProperty(anyText, fc.array(fc.nat(100)), async (text, cuts) => {
    const bytes = new TextEncoder().encode(text);
    const seen = await events(bytes, { cuts });
    for (const [index, { id }] of seen.entries()) {
      const rest = await events(bytes, { from: id, cuts });
      assert.equal(textOf(seen.slice(0, index + 1)) + textOf(rest), text);
    }
  }));
});
